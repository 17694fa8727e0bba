//! What can be counted of credentials. Logic tells it what happened; telemetry decides what that is called.

use std::time::Duration;

use crate::credential::FetchErrorKind;

pub trait Observer: Send + Sync + 'static {
    /// Answered from what is held.
    fn hit(&self) {}
    /// Nothing held was good enough: the keeper was asked.
    fn miss(&self) {}
    /// The source was asked, and took `elapsed`.
    fn fetched(&self, outcome: Result<(), FetchErrorKind>, elapsed: Duration) {
        let _ = (outcome, elapsed);
    }
    /// A credential was replaced, `lag` after it was due.
    fn renewed(&self, lag: Duration) {
        let _ = lag;
    }
}

/// Counts nothing.
impl Observer for () {}
