//! What the keeper knows of one key, and the task that follows from it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::Context;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::time::delay_queue;

use super::{
    handle::{Answer, KeyState},
    queue::{Ticket, Urgency},
};
use crate::{
    credential::{Credential, CredentialError, FetchError, schedule},
    credential_key::CredentialKey,
    role::Role,
};

#[derive(Default)]
pub(super) struct Entry {
    /// Whether the last `keep` named the key. Only wanted keys are prefetched and renewed.
    pub(super) wanted: bool,
    /// When a request last asked the keeper for the key.
    pub(super) asked_at: Option<Instant>,
    /// The trace that the next fetch belongs to.
    pub(super) asked_within: Context,
    cached: Option<Cached>,
    /// The last failure since the last success.
    fault: Option<LastFailure>,
    pub(super) waiters: Waiters,
    pub(super) next: Next,
}

struct Cached {
    credential: Arc<Credential>,
    renew_at: SystemTime,
}

struct LastFailure {
    error: Arc<FetchError>,
    /// How many failures of this class came in a row.
    times: u32,
    /// The end of the backoff.
    until: Instant,
}

/// What comes next for the key. It has an alarm, or is queued, or is in flight, never two of these.
#[derive(Default)]
pub(super) enum Next {
    #[default]
    Nothing,
    Alarm(delay_queue::Key),
    Queued(Ticket),
    InFlight,
}

/// What the keeper has to do for a key.
pub(super) enum Task {
    Drop,
    Fetch(Urgency),
    Sleep(Duration),
}

impl Entry {
    /// The answer to a request that no fetch could improve: a cached credential with enough life left, any valid one
    /// while the source fails, or else the failure during its backoff.
    pub(super) fn answer_at_once(&self, now: SystemTime, min_remaining: Duration) -> Option<Answer> {
        let failing = self.fault.is_some();
        match (self.valid(now), &self.fault) {
            (Some(cached), _) if failing || schedule::is_fresh(cached, now, min_remaining) => {
                Some(Ok(Arc::clone(cached)))
            }
            (None, Some(fault)) if fault.in_backoff() => Some(Err(fault.as_error())),
            _ => None,
        }
    }

    /// Whether a request justifies a fetch.
    pub(super) fn is_due(&self, now: SystemTime, min_remaining: Duration) -> bool {
        let fresh = self.valid(now).is_some_and(|cached| schedule::is_fresh(cached, now, min_remaining));
        !fresh && !self.fault.as_ref().is_some_and(LastFailure::in_backoff)
    }

    /// Stores a fetched credential. Returns when the renewal of the previous one was due, if there was one.
    pub(super) fn accept(&mut self, credential: Arc<Credential>, now: SystemTime, jitter: f64) -> Option<SystemTime> {
        let renew_at = schedule::renew_at(credential.issued_at, credential.expires_at, now, jitter);
        self.fault = None;
        self.cached.replace(Cached { credential, renew_at }).map(|before| before.renew_at)
    }

    /// Records a failure. Its backoff lasts at least for `pause`.
    pub(super) fn fail(&mut self, error: FetchError, role: &Role, now: SystemTime, pause: Duration, seed: u64) {
        let repeated = self.fault.as_ref().filter(|fault| fault.error.class == error.class);
        let times = repeated.map_or(1, |fault| fault.times.saturating_add(1));
        let remaining = self.valid(now).map(|credential| credential.remaining(now));
        let window = schedule::retry_after(error.class, times, remaining, seed).max(pause);
        let FetchError { class, code, detail } = &error;
        if times == 1 {
            tracing::warn!(role = %role.arn, session = %role.session_name, %class, code, detail, retry_after = ?window,
                held = remaining.is_some(), "credential fetch failed");
        } else {
            tracing::debug!(role = %role.arn, session = %role.session_name, %class, code, detail, retry_after = ?window,
                times, "credential fetch failed again");
        }
        self.fault = Some(LastFailure { error: Arc::new(error), times, until: Instant::now() + window });
    }

    /// After a fetch: gives every waiter the valid credential, or else the failure.
    pub(super) fn answer_waiters(&mut self, now: SystemTime) {
        let answer = match (self.valid(now), &self.fault) {
            (Some(credential), _) => Ok(Arc::clone(credential)),
            (None, Some(fault)) => Err(fault.as_error()),
            // A finished fetch left one or the other.
            (None, None) => return,
        };
        self.waiters.answer(&answer);
    }

    /// Drops an expired credential. Returns whether there was one.
    pub(super) fn release_expired(&mut self, now: SystemTime) -> bool {
        self.cached.take_if(|cached| !cached.credential.is_valid(now)).is_some()
    }

    pub(super) fn task(&self, now: SystemTime, wanted_as_of: Option<Instant>) -> Task {
        if self.wanted { self.task_of_wanted(now) } else { self.task_of_unwanted(now, wanted_as_of) }
    }

    fn task_of_wanted(&self, now: SystemTime) -> Task {
        let pause = match (&self.fault, &self.cached) {
            (Some(fault), _) => fault.until.saturating_duration_since(Instant::now()),
            (None, Some(cached)) => cached.renew_at.duration_since(now).unwrap_or_default(),
            (None, None) => Duration::ZERO,
        };
        match (pause.is_zero(), self.valid(now)) {
            (true, Some(_)) => Task::Fetch(Urgency::Renewal),
            (true, None) => Task::Fetch(Urgency::Prefetch),
            // If the credential expires during the pause, the alarm is set to the expiry, to drop the secret then.
            (false, Some(credential)) => Task::Sleep(pause.min(credential.remaining(now))),
            (false, None) => Task::Sleep(pause),
        }
    }

    /// A key that the last `keep` did not name stays while a request waits for it. It also stays if a request asked for
    /// it after the roster was read for that `keep`: until its credential expires or its failure is forgotten.
    fn task_of_unwanted(&self, now: SystemTime, wanted_as_of: Option<Instant>) -> Task {
        if self.waiters.any_open() {
            return Task::Fetch(Urgency::Asked);
        }
        let newer_than_keep = match (self.asked_at, wanted_as_of) {
            (Some(asked), Some(as_of)) => asked >= as_of,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !newer_than_keep {
            return Task::Drop;
        }
        let in_progress = matches!(self.next, Next::InFlight | Next::Queued(_));
        let pause = match (&self.cached, &self.fault) {
            (Some(cached), _) => cached.credential.remaining(now),
            // At least twice the backoff, so that a failure that returns is recognized as a repeated one.
            (None, Some(fault)) => (fault.until + schedule::LONGEST_WINDOW).saturating_duration_since(Instant::now()),
            (None, None) => Duration::ZERO,
        };
        if pause.is_zero() && !in_progress { Task::Drop } else { Task::Sleep(pause) }
    }

    pub(super) fn state(&self, key: &CredentialKey, now: SystemTime) -> KeyState {
        let next_fetch = match (&self.next, &self.fault, &self.cached) {
            (Next::Queued(_) | Next::InFlight, ..) => None,
            _ if !self.wanted => None,
            (_, Some(fault), _) => Some(now + fault.until.saturating_duration_since(Instant::now())),
            (_, None, cached) => cached.as_ref().map(|cached| cached.renew_at),
        };
        KeyState {
            key: key.clone(),
            wanted: self.wanted,
            expires_at: self.cached.as_ref().map(|cached| cached.credential.expires_at),
            last_error: self.fault.as_ref().map(|fault| Arc::clone(&fault.error)),
            next_fetch,
        }
    }

    fn valid(&self, now: SystemTime) -> Option<&Arc<Credential>> {
        self.cached.as_ref().map(|cached| &cached.credential).filter(|credential| credential.is_valid(now))
    }
}

impl LastFailure {
    fn in_backoff(&self) -> bool {
        self.until > Instant::now()
    }

    fn as_error(&self) -> CredentialError {
        let retry_after = self.until.saturating_duration_since(Instant::now());
        CredentialError::Source { error: Arc::clone(&self.error), retry_after }
    }
}

/// The requests that wait for one key.
#[derive(Default)]
pub(super) struct Waiters(Vec<oneshot::Sender<Answer>>);

impl Waiters {
    /// Cancelled waiters are removed whenever the vector would grow: constant amortized cost per push.
    pub(super) fn push(&mut self, waiter: oneshot::Sender<Answer>) {
        if self.0.len() == self.0.capacity() {
            self.0.retain(|waiter| !waiter.is_closed());
        }
        self.0.push(waiter);
    }

    fn any_open(&self) -> bool {
        self.0.iter().any(|waiter| !waiter.is_closed())
    }

    /// Frees the vector: a burst of thousands is rare, and a key lives for days.
    fn answer(&mut self, answer: &Answer) {
        for waiter in std::mem::take(&mut self.0) {
            drop(waiter.send(answer.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelled_waiters_are_removed_and_the_others_are_answered() {
        let mut waiters = Waiters::default();
        let mut waiting = Vec::new();
        for n in 0..100_000 {
            let (waiter, answered) = oneshot::channel();
            waiters.push(waiter);
            if n % 10_000 == 0 {
                waiting.push(answered);
            }
        }
        assert!(waiters.0.len() < 64, "{} are remembered", waiters.0.len());
        assert!(waiters.any_open());
        waiters.answer(&Err(CredentialError::Stopped));
        assert!(waiting.iter_mut().all(|answered| matches!(answered.try_recv(), Ok(Err(CredentialError::Stopped)))));
        assert!(!waiters.any_open());
    }
}
