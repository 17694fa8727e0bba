//! Observes credentials. The logic reports what happens; telemetry names the metrics.

use std::time::Duration;

use crate::credential::FetchErrorKind;

pub trait Observer: Send + Sync + 'static {
    /// A cache hit.
    fn hit(&self) {}
    /// A cache miss: no cached credential had enough life left, so the keeper was asked.
    fn miss(&self) {}
    /// A fetch ended after `elapsed`.
    fn fetched(&self, outcome: Result<(), FetchErrorKind>, elapsed: Duration) {
        let _ = (outcome, elapsed);
    }
    /// A credential was replaced, `lag` after its renewal was due.
    fn renewed(&self, lag: Duration) {
        let _ = lag;
    }
}

/// Counts nothing.
impl Observer for () {}
