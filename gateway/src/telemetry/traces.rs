//! Traces: one span for each request of a pod, one for each decision that was made for it, and one for each call to AWS
//! STS.
//!
//! A pod's own trace context is ignored: it could make the gateway sample everything, or join another service's trace.
//! The context of a call is sent to STS.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::metrics::SCOPE;
use crate::{policy::Decision, request_id::RequestId};

/// Cheap to clone. Costs nothing without a collector.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Sampled>>);

struct Sampled {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    /// Requests whose id is not above this are traced. Ids are random, so this gives the configured ratio.
    threshold: u64,
}

impl Traces {
    pub(crate) fn new(provider: SdkTracerProvider, ratio: f64) -> Self {
        // The cast saturates, so that 1.0 is every id.
        let threshold = (ratio * u64::MAX as f64) as u64;
        Self(Some(Arc::new(Sampled { tracer: provider.tracer(SCOPE), provider, threshold })))
    }

    pub(super) fn provider(&self) -> Option<&SdkTracerProvider> {
        self.0.as_deref().map(|sampled| &sampled.provider)
    }

    /// The context of the request's span; None where the request is not traced.
    pub(super) fn request(&self, id: RequestId) -> Option<Context> {
        let sampled = self.0.as_deref().filter(|sampled| sampled.threshold > 0 && id.bits() <= sampled.threshold)?;
        let builder = sampled.tracer.span_builder("request").with_kind(SpanKind::Server);
        let span = sampled.tracer.build_with_context(builder, &Context::new());
        Some(Context::new().with_span(span))
    }

    /// The context of the span of a call to another service. Its parent is the request that the call is made for, if
    /// that is traced.
    pub(super) fn call(&self, method: &'static str) -> Context {
        let Some(sampled) = &self.0 else { return Context::new() };
        let builder = sampled.tracer.span_builder(method).with_kind(SpanKind::Client);
        Context::current_with_span(sampled.tracer.build_with_context(builder, &Context::current()))
    }

    /// Traces a decision that was just made, as a child of the request that waits for it.
    pub fn decision(&self, decision: &Decision) {
        let Some(sampled) = &self.0 else { return };
        let parent = Context::current();
        if !parent.span().span_context().is_sampled() {
            return;
        }
        let took: Duration = decision.steps.iter().map(|step| step.took).sum();
        let builder = sampled.tracer.span_builder("policy.decision").with_start_time(decision.decided_at);
        let span = parent.with_span(sampled.tracer.build_with_context(builder, &parent));
        let span = span.span();
        span.set_attribute(KeyValue::new("metagate.decision.outcome", decision.outcome.label()));
        for step in &decision.steps {
            let microseconds = i64::try_from(step.took.as_micros()).unwrap_or(i64::MAX);
            span.add_event(
                "plugin.call",
                vec![
                    KeyValue::new("metagate.plugin", step.plugin.clone()),
                    KeyValue::new("metagate.phase", step.phase.label()),
                    KeyValue::new("metagate.answer", step.answer.text()),
                    KeyValue::new("metagate.audited", step.audited),
                    KeyValue::new("metagate.microseconds", microseconds),
                ],
            );
        }
        if let Some(rejection) = decision.outcome.rejection() {
            span.set_status(Status::error(crate::refusal::Refusal::from(rejection.clone()).label()));
        }
        span.end_with_timestamp(decision.decided_at + took);
    }
}
