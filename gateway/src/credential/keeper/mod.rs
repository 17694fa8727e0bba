//! The one task that fetches, renews and drops credentials. It owns all state that changes; requests read its snapshot
//! and send it messages through one bounded channel. Its loop never waits for the source.

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

/// Alarms follow the monotonic clock, expirations the wall clock. No alarm is set further ahead than this, so that a
/// step of the wall clock or a suspended machine is noticed within this time.
const ALARM_MAX: Duration = Duration::from_secs(60);
/// The capacity of the channel. Further requests wait for room in it, within their own `credentials.wait`.
const INBOX: usize = 1024;
/// Longer than an STS call with all of the SDK's attempts (5 s); only a source that hangs reaches it.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);
/// A credential that is issued with less life than this shows a fault of the source or of this node's clock.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// How long a request waits for a credential that is not cached.
    pub wait: Duration,
    /// The least remaining life of a served credential while the source answers; at most five twelfths of the granted
    /// life.
    pub min_remaining: Duration,
    /// The limit of fetches in flight; at least 1.
    pub concurrent_fetches: usize,
    /// A fetch that takes longer fails.
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
    /// When the roster was read for the last `keep`.
    wanted_as_of: Option<Instant>,
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
            wanted_as_of: None,
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
                Some(alarm) = poll_fn(|cx| self.alarms.poll_expired(cx)) => self.on_alarm(alarm.into_inner()),
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

    /// The most urgent key that may be fetched now.
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
        let in_vain = pause > self.settings.wait && !matches!(entry.next, Next::InFlight);
        match entry.answer_at_once(now, self.settings.min_remaining) {
            // The request may have been cancelled by now.
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
        self.wanted_as_of = Some(as_of);
        let keys: HashSet<&CredentialKey> = wanted.iter().map(|grant| grant.key()).collect();
        let stale: Vec<_> = self.entries.keys().filter(|key| !keys.contains(key)).cloned().collect();
        for key in stale {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.wanted = false;
                self.reschedule(key);
            }
        }
        // In the given order, which is that of the workloads.
        for grant in wanted {
            let entry = self.entries.entry(grant.key().clone()).or_default();
            if !std::mem::replace(&mut entry.wanted, true) {
                self.reschedule(grant.key().clone());
            }
        }
    }

    fn launch(&mut self, key: CredentialKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.next = Next::InFlight;
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
        self.reschedule(key);
    }

    fn check(&self, credential: Credential) -> Result<Credential, FetchError> {
        if credential.remaining(self.clock.now()) >= SHORTEST_LIFE {
            return Ok(credential);
        }
        let detail =
            "the source issued a credential with less than a minute of life; check this node's clock".to_owned();
        Err(FetchError { class: FetchErrorKind::Unavailable, code: None, detail })
    }

    fn on_alarm(&mut self, key: CredentialKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.next = Next::Nothing;
            self.reschedule(key);
        }
    }

    /// Reschedules a key after any change: drops it, queues it, or sets its alarm. A key that is queued or in flight
    /// stays so unless it is dropped.
    fn reschedule(&mut self, key: CredentialKey) {
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.release_expired(now) {
            self.store.remove(&key);
        }
        match entry.task(now, self.wanted_as_of) {
            Task::Drop => self.drop_key(&key),
            Task::Fetch(urgency) => self.enqueue(key, urgency),
            Task::Sleep(pause) => self.set_alarm(key, pause),
        }
    }

    fn enqueue(&mut self, key: CredentialKey, urgency: Urgency) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match &entry.next {
            Next::InFlight => return,
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
            Next::InFlight | Next::Queued(_) => return,
            Next::Alarm(alarm) => drop(self.alarms.try_remove(alarm)),
            Next::Nothing => {}
        }
        entry.next = Next::Alarm(self.alarms.insert(key, pause.min(ALARM_MAX)));
    }

    fn drop_key(&mut self, key: &CredentialKey) {
        self.store.remove(key);
        match self.entries.remove(key).map(|entry| entry.next) {
            Some(Next::InFlight) => self.in_flight.abandon(key),
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
