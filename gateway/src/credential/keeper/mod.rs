//! The one task that fetches, renews and drops credentials. It owns everything that changes; requests read its snapshot
//! and speak to it through one bounded channel. Nothing that it does in its loop waits for the source.

mod entry;
#[cfg(test)]
mod fake_source;
mod in_flight;
mod handle;
mod queue;
#[cfg(test)]
mod tests;
mod throttle;

pub(super) use handle::Message;
pub use handle::{KeeperHandle, KeyState};

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    sync::Arc,
    time::Duration,
};

use opentelemetry::Context;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker, time::DelayQueue};

use self::{
    entry::{Entry, Next, Task},
    handle::Answer,
    in_flight::{Finished, InFlight},
    queue::{FetchQueue, Urgency},
    throttle::Throttle,
};
use super::{Credential, Credentials, Observer, store::StoreWriter};
use crate::{
    clock::Clock,
    config,
    credential::{FetchError, FetchErrorKind, Source},
    credential_key::CredentialKey,
    policy::Grant,
};

/// Alarms are monotonic and expirations are not. No alarm is set further ahead than this, so a wall clock that was stepped
/// and a machine that slept are noticed within it.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Requests beyond this wait for a place in the channel, inside their own `credentials.wait`.
const INBOX: usize = 1024;
/// Longer than STS with the SDK's own attempts (5 s); only a source that hangs meets it.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);
/// What is issued with less life than this is a fault of the source or of this node's clock.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// How long a request waits for a credential that is not held.
    pub wait: Duration,
    /// Never serve less life than this while the source answers; five twelfths of the granted life at most.
    pub min_remaining: Duration,
    /// Fetches under way at once; at least 1.
    pub concurrent_fetches: usize,
    /// A fetch that takes longer has failed.
    pub fetch_deadline: Duration,
}

impl From<&config::Credentials> for KeeperSettings {
    fn from(config: &config::Credentials) -> Self {
        Self {
            wait: config.wait,
            min_remaining: config.min_remaining,
            concurrent_fetches: config.concurrent_fetches,
            fetch_deadline: FETCH_DEADLINE,
        }
    }
}

pub struct Keeper {
    source: Arc<dyn Source>,
    settings: KeeperSettings,
    clock: Clock,
    observer: Arc<dyn Observer>,
    inbox: mpsc::Receiver<Message>,
    store: StoreWriter,
    entries: HashMap<CredentialKey, Entry>,
    alarms: DelayQueue<CredentialKey>,
    queue: FetchQueue,
    in_flight: InFlight,
    throttle: Throttle,
    /// When the workloads were looked at that the last `keep` was made from.
    kept_as_of: Option<Instant>,
}

impl Keeper {
    /// Starts the task. Must be called within a tokio runtime.
    pub fn spawn(
        source: Arc<dyn Source>,
        settings: KeeperSettings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> (Credentials, KeeperHandle) {
        let (to_keeper, inbox) = mpsc::channel(INBOX);
        let (store, writer) = super::store::store();
        let credentials = Credentials {
            store,
            keeper: to_keeper.clone(),
            clock: clock.clone(),
            wait: settings.wait,
            min_remaining: settings.min_remaining,
            observer: Arc::clone(&observer),
        };
        let keeper = Self {
            in_flight: InFlight::new(settings.concurrent_fetches, settings.fetch_deadline),
            throttle: Throttle::new(settings.concurrent_fetches),
            source,
            settings,
            clock,
            observer,
            inbox,
            store: writer,
            entries: HashMap::new(),
            alarms: DelayQueue::new(),
            queue: FetchQueue::default(),
            kept_as_of: None,
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(keeper.run(stop.clone()));
        tasks.close();
        (credentials, KeeperHandle::new(to_keeper, stop, tasks))
    }

    async fn run(mut self, stop: CancellationToken) {
        loop {
            while let Some(key) = self.next() {
                self.launch(key);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(finished) = self.in_flight.finished() => self.finish(finished),
                () = self.throttle.resume() => {}
                Some(alarm) = poll_fn(|cx| self.alarms.poll_expired(cx)) => self.ring(alarm.into_inner()),
                message = self.inbox.recv() => match message {
                    Some(Message::Ask { key, answer, within }) => self.ask(key, answer, within),
                    Some(Message::Keep { as_of, wanted }) => self.keep(as_of, &wanted),
                    Some(Message::State(answer)) => drop(answer.send(self.state())),
                    None => break,
                },
            }
        }
        self.in_flight.cancel().await;
    }

    /// The most urgent that may be asked for at this moment.
    fn next(&mut self) -> Option<CredentialKey> {
        if !self.in_flight.has_room() {
            return None;
        }
        let admitted = self.throttle.admits(self.in_flight.count(Throttle::concerns));
        self.queue.pop(|key| admitted || !Throttle::concerns(key))
    }

    fn ask(&mut self, key: CredentialKey, answer: oneshot::Sender<Answer>, within: Context) {
        let (now, pause) = (self.clock.now(), self.throttle.pause_of(&key));
        let entry = self.entries.entry(key.clone()).or_default();
        entry.asked_at = Some(Instant::now());
        let in_vain = pause > self.settings.wait && !matches!(entry.next, Next::Flying);
        match entry.answer_at_once(now, self.settings.min_remaining) {
            // The one who asked may be gone by now.
            Some(known) => drop(answer.send(known)),
            None if in_vain => drop(answer.send(Err(throttle::refusal(pause)))),
            None => entry.waiters.push(answer),
        }
        if entry.is_due(now, self.settings.min_remaining) {
            entry.asked_within = within;
            self.enqueue(key, Urgency::Asked);
        }
    }

    fn keep(&mut self, as_of: Instant, wanted: &[Arc<Grant>]) {
        self.kept_as_of = Some(as_of);
        let keys: HashSet<&CredentialKey> = wanted.iter().map(|grant| grant.key()).collect();
        let stale: Vec<_> = self.entries.keys().filter(|key| !keys.contains(key)).cloned().collect();
        for key in stale {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.wanted = false;
                self.settle(key);
            }
        }
        // In the order given: the workloads' own.
        for grant in wanted {
            let entry = self.entries.entry(grant.key().clone()).or_default();
            if !std::mem::replace(&mut entry.wanted, true) {
                self.settle(grant.key().clone());
            }
        }
    }

    fn launch(&mut self, key: CredentialKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.next = Next::Flying;
            let within = std::mem::take(&mut entry.asked_within);
            self.in_flight.launch(Arc::clone(&self.source), key, within);
        }
    }

    fn finish(&mut self, finished: Finished) {
        let Finished { key, outcome, started } = finished;
        let outcome = outcome.and_then(|credential| self.check(credential));
        let answered = outcome.as_ref().map(drop).map_err(|error| error.class);
        self.observer.fetched(answered, started.elapsed());
        self.throttle.finished(&key, answered, started, rand::random());
        let pause = self.throttle.pause_of(&key);
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.next = Next::Nothing;
        match outcome {
            Ok(credential) => {
                let credential = Arc::new(credential);
                if let Some(due) = entry.accept(Arc::clone(&credential), now, rand::random_range(-1.0..=1.0)) {
                    self.observer.renewed(now.duration_since(due).unwrap_or_default());
                }
                self.store.put(&key, credential);
            }
            Err(error) => entry.fail(error, key.role(), now, pause, rand::random()),
        }
        entry.answer_waiters(now);
        self.settle(key);
    }

    fn check(&self, credential: Credential) -> Result<Credential, FetchError> {
        if credential.remaining(self.clock.now()) >= SHORTEST_LIFE {
            return Ok(credential);
        }
        let detail =
            "the source issued a credential with less than a minute of life; check this node's clock".to_owned();
        Err(FetchError { class: FetchErrorKind::Unavailable, code: None, detail })
    }

    fn ring(&mut self, key: CredentialKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.next = Next::Nothing;
            self.settle(key);
        }
    }

    /// Brings a key to where it belongs after anything has changed: dropped, queued, or waiting for its alarm. A key that
    /// is queued or being fetched stays so unless it is dropped.
    fn settle(&mut self, key: CredentialKey) {
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.release_expired(now) {
            self.store.remove(&key);
        }
        match entry.task(now, self.kept_as_of) {
            Task::Drop => self.drop_key(&key),
            Task::Fetch(urgency) => self.enqueue(key, urgency),
            Task::Sleep(pause) => self.set_alarm(key, pause),
        }
    }

    fn enqueue(&mut self, key: CredentialKey, urgency: Urgency) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match &entry.next {
            Next::Flying => return,
            Next::Queued(ticket) if ticket.urgency <= urgency => return,
            Next::Queued(ticket) => drop(self.queue.remove(*ticket)),
            Next::Alarm(alarm) => drop(self.alarms.try_remove(alarm)),
            Next::Nothing => {}
        }
        entry.next = Next::Queued(self.queue.push(urgency, key));
    }

    fn set_alarm(&mut self, key: CredentialKey, pause: Duration) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match &entry.next {
            Next::Flying | Next::Queued(_) => return,
            Next::Alarm(alarm) => drop(self.alarms.try_remove(alarm)),
            Next::Nothing => {}
        }
        entry.next = Next::Alarm(self.alarms.insert(key, pause.min(LOOK_AGAIN)));
    }

    fn drop_key(&mut self, key: &CredentialKey) {
        self.store.remove(key);
        match self.entries.remove(key).map(|entry| entry.next) {
            Some(Next::Flying) => self.in_flight.abandon(key),
            Some(Next::Queued(ticket)) => drop(self.queue.remove(ticket)),
            Some(Next::Alarm(alarm)) => drop(self.alarms.try_remove(&alarm)),
            Some(Next::Nothing) | None => {}
        }
    }

    fn state(&self) -> Vec<KeyState> {
        let now = self.clock.now();
        let mut all: Vec<_> = self.entries.iter().map(|(key, entry)| entry.state(key, now)).collect();
        let order = |one: &KeyState| {
            let role = one.key.role();
            (role.arn.to_string(), role.session_name.to_string(), one.key.id())
        };
        all.sort_by_cached_key(order);
        all
    }
}
