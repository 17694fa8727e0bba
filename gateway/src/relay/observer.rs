//! Observes requests to the node's own metadata service. The relay reports what happens; telemetry names the metrics.

use std::time::Duration;

/// A request that has ended.
pub struct UpstreamRequest<'a> {
    pub method: &'static str,
    pub host: &'a str,
    pub port: u16,
    /// The answer's status, or why there is none. A request that was dropped before its end is a `timeout`.
    pub outcome: Result<u16, &'static str>,
    pub took: Duration,
}

pub trait Observer: Send + Sync + 'static {
    fn requested(&self, request: &UpstreamRequest<'_>);
}

/// Observes nothing.
impl Observer for () {
    fn requested(&self, _: &UpstreamRequest<'_>) {}
}
