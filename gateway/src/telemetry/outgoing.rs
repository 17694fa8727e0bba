//! The gateway's own requests: calls to AWS STS, and requests to the node's own metadata service.

use std::time::Duration;

use opentelemetry::{
    Context, KeyValue,
    metrics::Histogram,
    trace::{Status, TraceContextExt},
};

use super::{Metrics, Traces};
use crate::{
    credential::FetchError,
    relay::{self, UpstreamRequest},
    source::{StsObserver, StsOperation},
};

/// Measures and traces calls to STS.
pub struct StsCalls {
    duration: Histogram<f64>,
    traces: Traces,
}

/// Measures requests to the node's metadata service.
pub struct ImdsRequests(Histogram<f64>);

impl StsCalls {
    pub(super) fn of(metrics: &Metrics, traces: &Traces) -> Self {
        Self { duration: metrics.calls.clone(), traces: traces.clone() }
    }

    #[cfg(test)]
    pub(crate) fn traced(traces: Traces) -> Self {
        let telemetry = super::Telemetry::unexported().unwrap();
        Self::of(telemetry.metrics(), &traces)
    }
}

impl StsObserver for StsCalls {
    /// The returned context holds the call's span, for work that is part of the call.
    fn begun(&self, operation: StsOperation) -> Context {
        self.traces.call(method(operation))
    }

    fn ended(&self, operation: StsOperation, context: &Context, outcome: Result<(), &FetchError>, took: Duration) {
        let mut labels =
            vec![KeyValue::new("rpc.system.name", "aws-api"), KeyValue::new("rpc.method", method(operation))];
        labels.extend(outcome.err().map(|error| KeyValue::new("error.type", error.class.label())));
        self.duration.record(took.as_secs_f64(), &labels);
        let span = context.span();
        labels.into_iter().for_each(|label| span.set_attribute(label));
        if let Err(error) = outcome {
            let code = error.code.clone().map(|code| KeyValue::new("rpc.response.status_code", code));
            code.into_iter().for_each(|code| span.set_attribute(code));
            span.set_status(Status::error(error.class.label()));
        }
        span.end();
    }
}

/// The service and operation as STS names them (OpenTelemetry, AWS SDK spans: `rpc.method`).
fn method(operation: StsOperation) -> &'static str {
    match operation {
        StsOperation::AssumeRole => "sts/AssumeRole",
        StsOperation::AssumeRoleWithWebIdentity => "sts/AssumeRoleWithWebIdentity",
    }
}

impl ImdsRequests {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self(metrics.upstream.clone())
    }
}

impl relay::Observer for ImdsRequests {
    fn requested(&self, request: &UpstreamRequest<'_>) {
        let outcome = match request.outcome {
            Ok(status) => KeyValue::new("http.response.status_code", i64::from(status)),
            Err(why) => KeyValue::new("error.type", why),
        };
        let labels = [
            KeyValue::new("http.request.method", request.method),
            KeyValue::new("server.address", request.host.to_owned()),
            KeyValue::new("server.port", i64::from(request.port)),
            outcome,
        ];
        self.0.record(request.took.as_secs_f64(), &labels);
    }
}
