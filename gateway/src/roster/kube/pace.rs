//! The backoff of a watch that fails.

use std::time::Duration;

use ::kube::runtime::{
    utils::{Backoff, ResetTimerBackoff},
    watcher::ExponentialBackoff,
};
use backon::ExponentialBuilder;

/// When the API server is back, a new pod should not wait long; jitter spreads the nodes of a fleet.
const LEAST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(10);
/// The backoff resets after this long without a failure. Above the longest pause, which jitter doubles.
const RESET_AFTER: Duration = Duration::from_secs(60);

/// Grows with each failure. A watch that relists emits an event before it asks, and `kube` counts that as a success: a
/// list that fails again and again would be retried at the shortest pause for ever. So only time without failures
/// counts as success here.
pub(super) struct Pace(ResetTimerBackoff<ExponentialBackoff>);

impl Default for Pace {
    fn default() -> Self {
        let growing = ExponentialBuilder::new().with_min_delay(LEAST).with_max_delay(MOST).with_jitter();
        Self(ResetTimerBackoff::new(ExponentialBackoff::from(growing.without_max_times()), RESET_AFTER))
    }
}

impl Iterator for Pace {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Pace {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lists_that_keep_failing_are_retried_less_and_less_often() {
        // As `kube` emits it: each new list is announced, and then fails.
        let failing = stream::iter([Ok(()), Err(())]).cycle();
        let mut tried = Box::pin(::kube::runtime::utils::StreamBackoff::new(failing, Pace::default()));
        let began = Instant::now();
        for _ in 0..20 {
            tried.next().await;
        }
        assert!(began.elapsed() > 5 * MOST, "10 failures took {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_while_without_failures_makes_the_next_pause_short_again() {
        let mut pace = Pace::default();
        assert!((0..10).filter_map(|_| pace.next()).last().unwrap() >= MOST);
        advance(RESET_AFTER + Duration::from_secs(1)).await;
        assert!(pace.next().unwrap() <= 2 * LEAST);
    }
}
