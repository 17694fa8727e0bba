//! Observes STS calls. The source reports what happens; telemetry names the metrics and spans.

use std::time::Duration;

use opentelemetry::Context;

use crate::credential::FetchError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsOperation {
    AssumeRole,
    AssumeRoleWithWebIdentity,
}

pub trait StsObserver: Send + Sync + 'static {
    /// A call begins. Everything that is done for it runs within the returned context.
    fn begun(&self, operation: StsOperation) -> Context;
    /// The call has ended; `context` is what [`Self::begun`] returned for it.
    fn ended(&self, operation: StsOperation, context: &Context, outcome: Result<(), &FetchError>, took: Duration);
}

/// Observes nothing.
impl StsObserver for () {
    fn begun(&self, _: StsOperation) -> Context {
        Context::current()
    }

    fn ended(&self, _: StsOperation, _: &Context, _: Result<(), &FetchError>, _: Duration) {}
}
