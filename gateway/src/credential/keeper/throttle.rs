//! How the node backs off when STS throttles it. STS counts by the calling account and region, over all the account's
//! nodes and roles ("IAM and AWS STS quotas", AWS IAM User Guide). So if one key is throttled, the next one would be,
//! too: the node pauses, then has one fetch in flight at a time, and one more after each success.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    credential::{CredentialError, FetchError, FetchErrorKind, schedule},
    credential_key::CredentialKey,
    role::CredentialSource,
};

pub(super) struct Throttle {
    /// The current limit of fetches in flight: `most` until STS throttles.
    at_once: usize,
    most: usize,
    /// Throttled fetches in a row.
    refusals: u32,
    /// Set until [`Throttle::resume`] clears it. The clock alone does not end a pause: nobody would look at the queue
    /// then.
    pausing: bool,
    /// The end of the last pause. A fetch that started before it says nothing about the time after it.
    until: Instant,
}

impl Throttle {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { at_once: most, most, refusals: 0, pausing: false, until: Instant::now() }
    }

    /// Whether the key is fetched with the node's own identity, whose account STS counts. A fetch with a workload's own
    /// token is not counted there.
    pub(super) fn concerns(key: &CredentialKey) -> bool {
        matches!(key.role().source, CredentialSource::AssumeRole)
    }

    /// Whether another key that this concerns may be fetched while `running` of them are in flight.
    pub(super) fn admits(&self, running: usize) -> bool {
        !self.pausing && running < self.at_once
    }

    /// Waits until the pause is over and ends it. Without a pause it never returns.
    pub(super) async fn resume(&mut self) {
        if !self.pausing {
            return std::future::pending().await;
        }
        sleep_until(self.until).await;
        self.pausing = false;
    }

    /// How long the pause keeps the key from being fetched, apart from the key's own backoff.
    pub(super) fn pause_of(&self, key: &CredentialKey) -> Duration {
        if self.pausing && Self::concerns(key) {
            self.until.saturating_duration_since(Instant::now())
        } else {
            Duration::ZERO
        }
    }

    /// Counts a fetch that began at `started` and has ended. Fetches that were in flight together and are throttled
    /// count once.
    pub(super) fn finished(
        &mut self,
        key: &CredentialKey,
        outcome: Result<(), FetchErrorKind>,
        started: Instant,
        seed: u64,
    ) {
        if started < self.until || !Self::concerns(key) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.refusals = 0;
                self.at_once = self.most.min(self.at_once + 1);
            }
            Err(FetchErrorKind::Throttled) => {
                self.at_once = 1;
                self.refusals = self.refusals.saturating_add(1);
                let pause = schedule::retry_after(FetchErrorKind::Throttled, self.refusals, None, seed);
                (self.pausing, self.until) = (true, Instant::now() + pause);
                tracing::warn!(
                    ?pause,
                    refusals = self.refusals,
                    "STS throttles: this node asks for no role until then"
                );
            }
            // With any other error, the quota had room or was not checked.
            Err(_) => {}
        }
    }
}

/// The answer to a request that would have to wait longer than it may.
pub(super) fn refusal(pause: Duration) -> CredentialError {
    let detail = "STS throttles this node, which assumes no role until the pause is over".to_owned();
    let error = FetchError { class: FetchErrorKind::Throttled, code: None, detail };
    CredentialError::Source { error: Arc::new(error), retry_after: pause }
}
