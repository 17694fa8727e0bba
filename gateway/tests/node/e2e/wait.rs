//! Waits for what other programs do in their own time.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Far more than anything here takes, even if the machine is busy with a build.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until it sees `expected`.
pub(crate) async fn until_equal<T: Debug + PartialEq>(what: &str, expected: T, mut look: impl AsyncFnMut() -> T) {
    let began = Instant::now();
    loop {
        let seen = look().await;
        if seen == expected {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "{what}: {seen:?} after {DEADLINE:?}, and not {expected:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Looks until there is something.
pub(crate) async fn until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < DEADLINE, "{what}: nothing after {DEADLINE:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
