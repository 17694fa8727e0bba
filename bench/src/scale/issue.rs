//! A source that always issues, and records when it was asked.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use metagate::{
    clock::Clock,
    credential::{Credential, Fetch, Secret, Source},
    credential_key::CredentialKey,
};
use tokio::time::{Instant, sleep};

/// About the middle of STS's latency within its region.
const LATENCY: Duration = Duration::from_millis(100);

pub struct Issuer {
    clock: Clock,
    began: Instant,
    /// Credentials issued before the duration bear the time, as if all of them had been issued in one second.
    dated: Option<(Duration, SystemTime)>,
    asked: Mutex<Vec<Duration>>,
}

impl Issuer {
    pub fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self::dating(clock, None))
    }

    /// All credentials issued within `first` bear the present time.
    pub fn of_one_second(clock: &Clock, first: Duration) -> Arc<Self> {
        Arc::new(Self::dating(clock, Some((first, clock.now()))))
    }

    fn dating(clock: &Clock, dated: Option<(Duration, SystemTime)>) -> Self {
        Self { clock: clock.clone(), began: Instant::now(), dated, asked: Mutex::default() }
    }

    /// When the source was asked, in order.
    pub fn asked(&self) -> Vec<Duration> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn issue(&self, key: &CredentialKey) -> Credential {
        let since = self.began.elapsed();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(since);
        sleep(LATENCY).await;
        let from = match self.dated {
            Some((first, moment)) if since < first => moment,
            _ => self.clock.now(),
        };
        let (secret, token) = (Secret::new(String::new()), Secret::new(String::new()));
        Credential::new(String::new(), secret, token, from, from + key.role().duration)
    }
}

impl Source for Issuer {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        Box::pin(async { Ok(self.issue(key).await) })
    }
}
