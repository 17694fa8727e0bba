//! STS for one account in one region: a quota that all nodes share, and the SDK in front of it with its retries.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use metagate::{
    clock::Clock,
    credential::{Credential, Fetch, FetchError, FetchErrorKind, Secret, Source},
    credential_key::CredentialKey,
};
use tokio::time::{Instant, sleep};

/// "IAM and AWS STS quotas" in the AWS IAM User Guide: 600 requests per second per account and region, which AssumeRole
/// shares with GetCallerIdentity, GetSessionToken, GetFederationToken, DecodeAuthorizationMessage and GetAccessKeyInfo;
/// the calling account's quota counts. The burst that a quiet account may send is not published: here it is one
/// second's worth.
pub const PUBLISHED: Quota = Quota { a_second: 600.0, at_once: 600.0 };

/// STS answers within its own region in 50 to 200 ms, refusals too.
const LATENCY: (f64, f64) = (0.05, 0.2);
/// The gateway's own client (`source/sts/client.rs`): three attempts, the SDK's standard mode.
const ATTEMPTS: u32 = 3;
/// The SDK's first pause after throttling, times a random factor, doubled each time (aws-smithy-runtime, standard retry
/// strategy).
const FIRST_PAUSE: f64 = 1.0;
/// The SDK's own retry limit: a retry takes 5 of a client's 500 permits and returns them if it succeeds; a first
/// attempt that succeeds returns one (aws-smithy-runtime, token bucket).
const PERMITS: u32 = 500;
const RETRY_COSTS: u32 = 5;

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    pub a_second: f64,
    pub at_once: f64,
}

/// The calls to STS in one second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    pub calls: u32,
    /// How many of them were throttled.
    pub throttled: u32,
}

/// One account in one region.
pub struct Account {
    quota: Quota,
    clock: Clock,
    began: Instant,
    usage: Mutex<Usage>,
}

struct Usage {
    left: f64,
    as_of: Instant,
    seconds: Vec<Second>,
}

impl Account {
    pub fn new(quota: Quota, clock: Clock) -> Self {
        let began = Instant::now();
        let usage = Usage { left: quota.at_once, as_of: began, seconds: Vec::new() };
        Self { quota, clock, began, usage: Mutex::new(usage) }
    }

    /// One entry for each second after `from` in which anybody might have asked.
    pub fn seconds(&self, from: Duration) -> Vec<Second> {
        let from = usize::try_from(from.as_secs()).unwrap_or(usize::MAX);
        self.usage().seconds.get(from..).unwrap_or_default().to_vec()
    }

    /// Counts a call, and returns whether it is within the quota. A throttled call takes nothing of the quota.
    fn admits(&self) -> bool {
        let now = Instant::now();
        let second = usize::try_from(now.duration_since(self.began).as_secs()).unwrap_or(usize::MAX);
        let mut usage = self.usage();
        let refilled = now.duration_since(usage.as_of).as_secs_f64() * self.quota.a_second;
        usage.left = (usage.left + refilled).min(self.quota.at_once);
        usage.as_of = now;
        let admitted = usage.left >= 1.0;
        if admitted {
            usage.left -= 1.0;
        }
        if usage.seconds.len() <= second {
            usage.seconds.resize(second + 1, Second::default());
        }
        if let Some(counted) = usage.seconds.get_mut(second) {
            counted.calls += 1;
            counted.throttled += u32::from(!admitted);
        }
        admitted
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One node's client.
pub struct Sts {
    account: Arc<Account>,
    permits: AtomicU32,
}

impl Sts {
    pub fn of(account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), permits: AtomicU32::new(PERMITS) }
    }

    async fn assume_role(&self, key: &CredentialKey) -> Result<Credential, FetchError> {
        for retries in 0..ATTEMPTS {
            let admitted = self.account.admits();
            sleep(seconds(rand::random_range(LATENCY.0..LATENCY.1))).await;
            if admitted {
                self.release(if retries == 0 { 1 } else { RETRY_COSTS });
                return Ok(self.issue(key));
            }
            if retries + 1 == ATTEMPTS || !self.take() {
                break;
            }
            sleep(seconds(rand::random_range(0.0..1.0) * FIRST_PAUSE * f64::from(1 << retries))).await;
        }
        let (code, detail) = (Some("Throttling".to_owned()), "Rate exceeded".to_owned());
        Err(FetchError { class: FetchErrorKind::Throttled, code, detail })
    }

    fn issue(&self, key: &CredentialKey) -> Credential {
        let now = self.account.clock.now();
        let (secret, token) = (Secret::new(String::new()), Secret::new(String::new()));
        Credential::new(String::new(), secret, token, now, now + key.role().duration)
    }

    fn take(&self) -> bool {
        let left = |permits: u32| permits.checked_sub(RETRY_COSTS);
        self.permits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }

    fn release(&self, permits: u32) {
        let more = |held: u32| Some((held + permits).min(PERMITS));
        let _ = self.permits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

impl Source for Sts {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        Box::pin(self.assume_role(key))
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
