//! Captures what the gateway logs on a test's own thread.

use std::sync::LazyLock;

use tracing::{Dispatch, subscriber::DefaultGuard};

/// With one dispatcher, tracing asks only the thread that comes by first whether an event is wanted, and that may be another
/// test's. With several dispatchers it asks all of them.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// `subscriber` has this thread's events for as long as the guard lives.
pub(crate) fn capture(subscriber: impl Into<Dispatch>) -> DefaultGuard {
    LazyLock::force(&SECOND);
    tracing::dispatcher::set_default(&subscriber.into())
}
