//! How the node goes on after STS has turned it away for asking too much. That is counted by the asking account and region,
//! over all its nodes and whatever role is asked for ("IAM and AWS STS quotas", AWS IAM User Guide), so what one key is
//! refused the next one would be: the node pauses, then asks for one at a time, then for one more with each that is granted.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    credential::{CredentialError, FetchError, FetchErrorKind, schedule},
    credential_key::CredentialKey,
    role::CredentialSource,
};

pub(super) struct Throttle {
    /// Fetches under way at once: `most` until there is a refusal.
    at_once: usize,
    most: usize,
    /// In a row.
    refusals: u32,
    /// Until [`Throttle::resume`] has ended it, and not by the clock alone: nobody would look at the queue then.
    pausing: bool,
    /// The end of the last pause. What was started before it says nothing about what comes after.
    until: Instant,
}

impl Throttle {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { at_once: most, most, refusals: 0, pausing: false, until: Instant::now() }
    }

    /// Whether the key is asked for with the node's own identity, whose account is counted. A workload's own token is not.
    pub(super) fn concerns(key: &CredentialKey) -> bool {
        matches!(key.role().source, CredentialSource::AssumeRole)
    }

    /// Whether one more may be asked for beside so many, of those that it concerns.
    pub(super) fn admits(&self, running: usize) -> bool {
        !self.pausing && running < self.at_once
    }

    /// Ends the pause when it is over. Never where there is none.
    pub(super) async fn resume(&mut self) {
        if !self.pausing {
            return std::future::pending().await;
        }
        sleep_until(self.until).await;
        self.pausing = false;
    }

    /// How long nobody will ask for the key, whatever it has met itself.
    pub(super) fn pause_of(&self, key: &CredentialKey) -> Duration {
        if self.pausing && Self::concerns(key) {
            self.until.saturating_duration_since(Instant::now())
        } else {
            Duration::ZERO
        }
    }

    /// Takes in how a fetch ended that was started then. Refusals of fetches that were under way together are one.
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
            // Whatever else went wrong, the quota had room or was not looked at.
            Err(_) => {}
        }
    }
}

/// What a request is told that would wait longer than it may.
pub(super) fn refusal(pause: Duration) -> CredentialError {
    let detail = "STS throttles this node, which asks for no role until its pause is over".to_owned();
    let error = FetchError { class: FetchErrorKind::Throttled, code: None, detail };
    CredentialError::Source { error: Arc::new(error), retry_after: pause }
}
