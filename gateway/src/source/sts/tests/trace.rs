//! The trace context in STS calls, and the STS request id in spans.

use std::sync::Mutex;

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId},
};
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};

use super::*;
use crate::telemetry::{StsCalls, Traces};

/// Keeps each span that has ended.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

impl Ended {
    fn only(&self) -> SpanData {
        let spans = self.0.lock().unwrap();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans[0].clone()
    }
}

fn traced(endpoint: &str) -> (Ended, StsSource) {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).build();
    let observer = Arc::new(StsCalls::traced(Traces::new(provider, 0.0)));
    (ended, StsSource::over(&transport(), StsSettings { observer, ..settings(endpoint) }))
}

fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map_or_else(String::new, |attribute| attribute.value.to_string())
}

#[tokio::test]
async fn the_trace_goes_along_to_sts_unsigned_and_the_span_has_its_request_id() {
    let server = FakeServer::start(|_| issued("AssumeRole", "ASIAWORKLOAD", HOUR)).await;
    let (ended, source) = traced(&server.endpoint);
    source.fetch(&key("reader")).await.unwrap();
    let (span, asked) = (ended.only(), server.asked());
    let (trace, own) = (span.span_context.trace_id(), span.span_context.span_id());
    assert_eq!(asked[0].traceparent.as_deref(), Some(&*format!("00-{trace}-{own}-01")));
    assert!(!asked[0].authorization.as_ref().unwrap().contains("traceparent"));
    assert_eq!((&*span.name, attribute(&span, "rpc.system.name")), ("sts/AssumeRole", "aws-api".into()));
    assert_eq!(attribute(&span, "aws.request_id"), "req-1234");
}

#[tokio::test]
async fn a_call_for_a_traced_request_is_a_part_of_its_trace() {
    let server = FakeServer::start(|_| issued("AssumeRole", "ASIAWORKLOAD", HOUR)).await;
    let (ended, source) = traced(&server.endpoint);
    let (trace, request) = (TraceId::from(7_u128), SpanId::from(9_u64));
    let request_context = SpanContext::new(trace, request, TraceFlags::SAMPLED, false, Default::default());
    let within = Context::new().with_remote_span_context(request_context);
    let wanted = key("reader");
    opentelemetry::context::FutureExt::with_context(source.fetch(&wanted), within).await.unwrap();
    let span = ended.only();
    assert_eq!((span.span_context.trace_id(), span.parent_span_id), (trace, request));
}

#[tokio::test]
async fn a_refused_call_s_span_has_the_code_of_aws_and_an_untraced_call_sends_no_context() {
    let server = FakeServer::start(|_| refused(403, "AccessDenied", "not authorized")).await;
    let (ended, source) = traced(&server.endpoint);
    source.fetch(&key("reader")).await.unwrap_err();
    assert_eq!(attribute(&ended.only(), "rpc.response.status_code"), "AccessDenied");
    source_at(&server.endpoint, None).fetch(&key("reader")).await.unwrap_err();
    assert_eq!(server.asked().last().unwrap().traceparent, None);
}
