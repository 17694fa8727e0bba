//! The part of the instance metadata service that is not credentials: cached reads of the node's own service.
//!
//! Similar projects relayed what a client sent, and leaked the node's role that way (kiam#516). Here a client's path
//! only chooses an [`Entry`]; the request to the node is made from the entry alone.

mod document;
mod error;
mod hold;
mod imds;
mod observer;
mod probe;
mod sandbox;
mod session;
mod transport;
mod upstream;

pub use document::{ContentType, Document};
pub use error::RelayError;
pub use imds::HttpUpstream;
pub use observer::{Observer, UpstreamRequest};
pub use probe::{Probe, ProbeError, probe};
pub use sandbox::{NODE_SECRET, SandboxInstance};
pub use transport::{Endpoint, EndpointError};
pub use upstream::{Read, Upstream};

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use moka::future::Cache;
use serde::Deserialize;
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use crate::{
    catalogue::{AllowList, Entry, Listing},
    config::{self, ImdsEndpoint},
};
use hold::{Cached, Lives};

/// The size of the cache in bytes. A whole instance's metadata is some 10 KiB; this leaves room for pods that read many
/// tags.
const CACHE_MAX: u64 = 1024 * 1024;
/// Nothing is cached longer, whatever is configured.
const CACHED_MAX: Duration = Duration::from_secs(24 * 3600);
/// The limit of reads in flight, each for a different entry. Past that a pod is making up names.
const FLIGHTS_MAX: usize = 128;
/// How long a request that could be answered with a stale document waits for a fresh one: IMDS takes a few
/// milliseconds, and a slow IMDS must not delay pods that were served before.
const FRESH_WAIT: Duration = Duration::from_millis(250);

type Answer = Result<Document, RelayError>;
type Flight = watch::Receiver<Option<Answer>>;

/// Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Relay {
    upstream: Arc<dyn Upstream>,
    ttl: Duration,
    cache: Cache<Entry, Cached>,
    flights: Arc<Mutex<HashMap<Entry, Flight>>>,
    failing: Arc<AtomicBool>,
}

impl Relay {
    /// Caches documents for `ttl`; zero caches nothing. Reads need a tokio runtime, `new` does not.
    pub fn new(upstream: Arc<dyn Upstream>, ttl: Duration) -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHE_MAX)
            .weigher(|entry: &Entry, cached: &Cached| {
                cached.weight().saturating_add(u32::try_from(entry.path().len()).unwrap_or(u32::MAX))
            })
            // Only frees memory: freshness is counted in tokio's time.
            .time_to_live(Lives::longest(ttl).clamp(Duration::from_secs(60), CACHED_MAX))
            .build();
        Self { upstream, ttl, cache, flights: Arc::default(), failing: Arc::default() }
    }

    /// # Errors
    /// If `imds.endpoint` is not `http://HOST[:PORT]`.
    pub fn from_config(imds: &config::Imds, observer: Arc<dyn Observer>) -> Result<Self, EndpointError> {
        let upstream: Arc<dyn Upstream> = match &imds.endpoint {
            ImdsEndpoint::Http(endpoint) => Arc::new(HttpUpstream::new(endpoint.parse()?, observer)),
            ImdsEndpoint::Sandbox => Arc::new(SandboxInstance::new()),
        };
        Ok(Self::new(upstream, imds.cache))
    }

    /// The node's own document, cached or read. Concurrent callers share one read, which is independent of them: a
    /// client that hangs up cancels nothing. If the node fails, a document that is not too old is served.
    ///
    /// # Errors
    /// After 2 seconds at most.
    pub async fn get(&self, entry: &Entry) -> Answer {
        let lives = Lives::new(entry.freshness(), self.ttl);
        let cached = self.cache.get(entry).await;
        if let Some(answer) = cached.as_ref().and_then(|cached| cached.current(lives)) {
            return answer;
        }
        let read = async {
            match self.join(entry, lives).await? {
                Joined::Answered(answer) => answer,
                Joined::Flight(flight) => answer_of(flight, entry).await,
            }
        };
        let Some(stale) = cached.and_then(|cached| cached.stale(lives)) else { return read.await };
        match timeout(FRESH_WAIT, read).await {
            Ok(answer @ (Ok(_) | Err(RelayError::NotFound { .. }))) => answer,
            _ => Ok(stale),
        }
    }

    /// The names of a directory that `allow` admits. Asks the node only for names that differ from instance to
    /// instance.
    ///
    /// # Errors
    /// `NotFound` where the node has no such directory, or nothing in it that is admitted.
    pub async fn list(&self, listing: &Listing, allow: &AllowList) -> Result<Vec<String>, RelayError> {
        match listing {
            Listing::Names(names) => Ok(names.clone()),
            Listing::Node(listing) => {
                let entry = listing.entry();
                let names = listing.names(&self.get(&entry).await?.body, allow);
                if names.is_empty() { Err(RelayError::NotFound { path: entry.to_string() }) } else { Ok(names) }
            }
        }
    }

    /// The ARN of the node's instance profile: what `base_role_arn = "auto"` is made from. Not cached.
    ///
    /// # Errors
    /// `NotFound` where the node has no instance profile.
    pub async fn instance_profile_arn(&self) -> Result<String, RelayError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Info {
            instance_profile_arn: String,
        }
        let entry = Entry::instance_profile();
        let document = self.upstream.read(&entry).await?;
        let info: Option<Info> = serde_json::from_slice(&document.body).ok();
        let arn = info.map(|info| info.instance_profile_arn);
        arn.ok_or_else(|| RelayError::Malformed { path: entry.to_string(), expected: "an InstanceProfileArn" })
    }

    /// The node's region: what `region = "auto"` means. Not cached. Only letters, digits and hyphens, as it becomes
    /// part of host names.
    pub async fn region(&self) -> Result<String, RelayError> {
        let entry = Entry::region();
        let document = self.upstream.read(&entry).await?;
        let text = str::from_utf8(&document.body).unwrap_or_default().trim();
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // 63: the longest label in a host name (RFC 1035, 2.3.4).
        match (1..=63).contains(&text.len()) && text.bytes().all(is_label) {
            true => Ok(text.to_owned()),
            false => Err(RelayError::Malformed { path: entry.to_string(), expected: "the name of a region" }),
        }
    }

    /// Whether the node did not answer the last read. Stale documents may still be served.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    async fn join(&self, entry: &Entry, lives: Lives) -> Result<Joined, RelayError> {
        let mut flights = self.flights.lock().await;
        // A flight that ended after the caller looked has cached its answer.
        let cached = self.cache.get(entry).await;
        if let Some(answer) = cached.as_ref().and_then(|cached| cached.current(lives)) {
            return Ok(Joined::Answered(answer));
        }
        // A flight whose upstream panicked never ends: its sender is gone.
        flights.retain(|_, flight| flight.has_changed().is_ok());
        if let Some(flight) = flights.get(entry) {
            return Ok(Joined::Flight(flight.clone()));
        }
        if flights.len() >= FLIGHTS_MAX {
            let detail = format!("{FLIGHTS_MAX} other reads are in flight");
            return Err(RelayError::Unavailable { path: entry.to_string(), detail });
        }
        let (done, flight) = watch::channel(None);
        flights.insert(entry.clone(), flight.clone());
        tokio::spawn(self.clone().run_flight(entry.clone(), cached, done));
        Ok(Joined::Flight(flight))
    }

    async fn run_flight(self, entry: Entry, previous: Option<Cached>, done: watch::Sender<Option<Answer>>) {
        let answer = self.upstream.read(&entry).await;
        self.log_change(&answer);
        self.cache.insert(entry.clone(), Cached::after(previous, answer.clone())).await;
        self.flights.lock().await.remove(&entry);
        done.send_replace(Some(answer));
    }

    /// Logs changes only: pods decide how many reads a failing service gets.
    fn log_change(&self, answer: &Answer) {
        let failure = answer.as_ref().err().filter(|error| matches!(error, RelayError::Unavailable { .. }));
        let was_failing = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_failing => tracing::warn!(%error, "instance metadata is not to be had"),
            None if was_failing => tracing::info!("instance metadata is to be had again"),
            _ => {}
        }
    }
}

enum Joined {
    Flight(Flight),
    Answered(Answer),
}

async fn answer_of(mut flight: Flight, entry: &Entry) -> Answer {
    let answer = flight.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
    answer.unwrap_or_else(|| {
        Err(RelayError::Unavailable { path: entry.to_string(), detail: "the read was aborted".to_owned() })
    })
}

#[cfg(test)]
mod tests;
