//! What the gateway asks of others: calls of AWS STS, requests to the node's own metadata service.

use std::time::Instant;

use http::Method;
use opentelemetry::{
    KeyValue,
    context::FutureExt,
    metrics::Histogram,
    trace::{Status, TraceContextExt},
};

use super::{Metrics, Traces};
use crate::source::FetchError;

/// Measures and traces calls of STS. The default does neither.
#[derive(Clone, Default)]
pub struct StsCalls(Option<(Histogram<f64>, Traces)>);

/// Measures requests to the node's metadata service. The default does not.
#[derive(Clone, Default)]
pub struct ImdsRequests(Option<Histogram<f64>>);

impl StsCalls {
    pub(super) fn of(metrics: &Metrics, traces: &Traces) -> Self {
        Self(Some((metrics.calls.clone(), traces.clone())))
    }

    #[cfg(test)]
    pub(crate) fn traced(traces: Traces) -> Self {
        let metrics = super::Telemetry::unexported().unwrap();
        Self(Some((metrics.metrics().calls.clone(), traces)))
    }

    /// `operation` as STS calls it: `AssumeRole`. What is in `call` finds the call's span in the current context.
    pub async fn made<T>(
        &self,
        operation: StsOperation,
        call: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let Some((duration, traces)) = &self.0 else { return call.await };
        let began = Instant::now();
        let context = traces.call(operation.method());
        let result = call.with_context(context.clone()).await;
        let mut labels =
            vec![KeyValue::new("rpc.system.name", "aws-api"), KeyValue::new("rpc.method", operation.method())];
        labels.extend(result.as_ref().err().map(|error| KeyValue::new("error.type", error.class.label())));
        duration.record(began.elapsed().as_secs_f64(), &labels);
        let span = context.span();
        labels.into_iter().for_each(|label| span.set_attribute(label));
        if let Err(error) = &result {
            let code = error.code.clone().map(|code| KeyValue::new("rpc.response.status_code", code));
            code.into_iter().for_each(|code| span.set_attribute(code));
            span.set_status(Status::error(error.class.label()));
        }
        span.end();
        result
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsOperation {
    AssumeRole,
    AssumeRoleWithWebIdentity,
}

impl StsOperation {
    fn method(self) -> &'static str {
        match self {
            Self::AssumeRole => "sts/AssumeRole",
            Self::AssumeRoleWithWebIdentity => "sts/AssumeRoleWithWebIdentity",
        }
    }
}

impl ImdsRequests {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self(Some(metrics.upstream.clone()))
    }

    pub fn begin(&self, method: &Method, host: &str, port: u16) -> ImdsRequest {
        let method = if *method == Method::PUT { "PUT" } else { "GET" };
        let labels = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("server.address", host.to_owned()),
            KeyValue::new("server.port", i64::from(port)),
        ];
        ImdsRequest { duration: self.0.clone(), labels, began: Instant::now(), outcome: Err("timeout") }
    }
}

/// Measured when it is dropped; one that nobody waited for to its end has taken too long.
pub struct ImdsRequest {
    duration: Option<Histogram<f64>>,
    labels: [KeyValue; 3],
    began: Instant,
    outcome: Result<u16, &'static str>,
}

impl ImdsRequest {
    /// `outcome`: the answer's status, or why there is none.
    pub fn ended(mut self, outcome: Result<u16, &'static str>) {
        self.outcome = outcome;
    }
}

impl Drop for ImdsRequest {
    fn drop(&mut self) {
        let Some(duration) = &self.duration else { return };
        let [method, host, port] = self.labels.clone();
        let outcome = match self.outcome {
            Ok(status) => KeyValue::new("http.response.status_code", i64::from(status)),
            Err(what) => KeyValue::new("error.type", what),
        };
        duration.record(self.began.elapsed().as_secs_f64(), &[method, host, port, outcome]);
    }
}
