//! A source whose latency and outcomes a test sets, and that records its calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    clock::Clock,
    credential::{Credential, Fetch, FetchError, FetchErrorKind, Secret, Source},
    credential_key::CredentialKey,
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Answer { life: Duration },
    Fail(FetchErrorKind),
    Panic,
    Hang,
}

pub(super) struct FakeSource {
    clock: Clock,
    now: Mutex<Now>,
}

struct Now {
    latency: Duration,
    behaviour: Behaviour,
    /// The behaviour for single roles, where it differs.
    by_role: HashMap<String, Behaviour>,
    asked: Vec<(String, Instant)>,
    in_flight: usize,
    most_in_flight: usize,
}

impl FakeSource {
    pub(super) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            now: Mutex::new(Now {
                latency: Duration::from_millis(100),
                behaviour: Behaviour::Answer { life: HOUR },
                by_role: HashMap::new(),
                asked: Vec::new(),
                in_flight: 0,
                most_in_flight: 0,
            }),
        })
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        self.now().behaviour = behaviour;
    }

    pub(super) fn behave_for(&self, role: &str, behaviour: Behaviour) {
        self.now().by_role.insert(role.to_owned(), behaviour);
    }

    pub(super) fn answer_after(&self, latency: Duration) {
        self.now().latency = latency;
    }

    pub(super) fn calls(&self) -> usize {
        self.now().asked.len()
    }

    /// The names of the roles that were fetched, in order, with the time.
    pub(super) fn asked(&self) -> Vec<(String, Instant)> {
        self.now().asked.clone()
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.now().most_in_flight
    }

    pub(super) fn in_flight(&self) -> usize {
        self.now().in_flight
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap()
    }

    async fn answer(&self, key: &CredentialKey) -> Result<Credential, FetchError> {
        let role = key.role().arn.name().to_owned();
        let (latency, behaviour, nth) = {
            let mut now = self.now();
            now.asked.push((role.clone(), Instant::now()));
            now.in_flight += 1;
            now.most_in_flight = now.most_in_flight.max(now.in_flight);
            (now.latency, now.by_role.get(&role).copied().unwrap_or(now.behaviour), now.asked.len())
        };
        let _landing = Landing(self);
        sleep(latency).await;
        let start = self.clock.now();
        match behaviour {
            Behaviour::Answer { life } => {
                let (secret, token) = (Secret::new(format!("secret of {role}")), Secret::new(format!("token {nth}")));
                Ok(Credential::new(role, secret, token, start, start + life))
            }
            Behaviour::Fail(class) => {
                Err(FetchError { class, code: Some("FakeCode".into()), detail: "as the test asked".into() })
            }
            Behaviour::Panic => panic!("as the test asked"),
            Behaviour::Hang => std::future::pending().await,
        }
    }
}

impl Source for FakeSource {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        Box::pin(self.answer(key))
    }
}

/// Counts a fetch as ended however it ends: answered, panicked or cancelled.
struct Landing<'a>(&'a FakeSource);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.0.now().in_flight -= 1;
    }
}
