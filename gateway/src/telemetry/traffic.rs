//! Recent requests of pods, for the status page's plot: totals, each of which costs a request one addition, and a
//! sample of them every few seconds.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, metrics::Meter};
use tokio_util::sync::CancellationToken;

use crate::credential::FetchErrorKind;

/// The samples cover ten minutes, often enough to show a burst, at next to no cost.
const EVERY: Duration = Duration::from_secs(5);
const SAMPLES: usize = 120;

#[derive(Clone, Default)]
pub struct Traffic(Arc<Shared>);

#[derive(Default)]
struct Shared {
    totals: Totals,
    active: AtomicI64,
    misses: AtomicU64,
    v1_requests: AtomicU64,
    /// Samples of the totals, oldest first.
    samples: Mutex<VecDeque<Sample>>,
    source: Mutex<SourceHealth>,
}

#[derive(Default)]
struct Totals {
    requests: AtomicU64,
    hits: AtomicU64,
    refusals: AtomicU64,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    requests: u64,
    hits: u64,
    refusals: u64,
}

/// The requests of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// How long ago it began.
    pub ago: Duration,
    pub lasted: Duration,
    pub requests: u64,
    /// Credentials answered from the cache.
    pub hits: u64,
    pub refusals: u64,
}

/// When the source last answered, and when it last failed and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceHealth {
    pub succeeded: Option<Instant>,
    pub failed: Option<(Instant, FetchErrorKind)>,
}

impl Totals {
    fn sample(&self, at: Instant) -> Sample {
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Sample { at, requests: read(&self.requests), hits: read(&self.hits), refusals: read(&self.refusals) }
    }
}

impl Sample {
    fn counts(&self) -> [u64; 3] {
        [self.requests, self.hits, self.refusals]
    }
}

impl Traffic {
    /// The totals are also counters of `meter`. The first interval begins now.
    pub(super) fn watched(meter: &Meter) -> Self {
        let traffic = Self::default();
        traffic.sample(Instant::now());
        let shared = Arc::clone(&traffic.0);
        meter
            .i64_observable_up_down_counter("http.server.active_requests")
            .with_unit("{request}")
            .with_description("Requests of pods that are in progress.")
            .with_callback(move |observer| observer.observe(shared.active.load(Ordering::Relaxed), &[]))
            .build();
        let shared = Arc::clone(&traffic.0);
        meter
            .u64_observable_counter("metagate.credential.reads")
            .with_description("Reads of the credential cache: hit or miss.")
            .with_callback(move |observer| {
                for (result, count) in [("hit", &shared.totals.hits), ("miss", &shared.misses)] {
                    observer.observe(count.load(Ordering::Relaxed), &[KeyValue::new("result", result)]);
                }
            })
            .build();
        let shared = Arc::clone(&traffic.0);
        meter
            .u64_observable_counter("metagate.imds.v1_requests")
            .with_description("Requests without a session token (IMDSv1).")
            .with_callback(move |observer| observer.observe(shared.v1_requests.load(Ordering::Relaxed), &[]))
            .build();
        traffic
    }

    pub(super) fn began(&self) {
        self.0.active.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn request(&self, refused: bool) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.totals.requests.fetch_add(1, Ordering::Relaxed);
        if refused {
            self.0.totals.refusals.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn v1_request(&self) {
        self.0.v1_requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn hit(&self) {
        self.0.totals.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.0.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fetched(&self, outcome: Result<(), FetchErrorKind>) {
        let mut source = self.0.source.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => source.succeeded = Some(Instant::now()),
            Err(class) => source.failed = Some((Instant::now(), class)),
        }
    }

    pub fn source(&self) -> SourceHealth {
        *self.0.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last ten minutes, oldest first. The last interval is the time since the last sample, so that a refusal is
    /// counted as soon as it is listed.
    pub fn intervals(&self) -> Vec<Interval> {
        let samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.totals.sample(Instant::now());
        let since = samples.back().filter(|last| last.counts() != now.counts()).map(|_| &now);
        let pairs = samples.iter().zip(samples.iter().skip(1).chain(since));
        let interval = |(before, after): (&Sample, &Sample)| Interval {
            ago: before.at.elapsed(),
            lasted: after.at.duration_since(before.at),
            requests: after.requests.saturating_sub(before.requests),
            hits: after.hits.saturating_sub(before.hits),
            refusals: after.refusals.saturating_sub(before.refusals),
        };
        pairs.map(interval).collect()
    }

    /// Takes a sample every few seconds, until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.sample(Instant::now()),
            }
        }
    }

    fn sample(&self, at: Instant) {
        let sample = self.0.totals.sample(at);
        let mut samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_since_the_last_sample_are_an_interval_too() {
        let traffic = Traffic::watched(&opentelemetry::global::meter("test"));
        for refused in [true, false] {
            traffic.began();
            traffic.request(refused);
        }
        let counts = || traffic.intervals().iter().map(|it| (it.requests, it.refusals)).collect::<Vec<_>>();
        assert_eq!(counts(), [(2, 1)], "before the first sample, too");
        traffic.sample(Instant::now());
        traffic.began();
        traffic.request(true);
        assert_eq!(counts(), [(2, 1), (1, 1)]);
        traffic.sample(Instant::now());
        assert_eq!(counts(), [(2, 1), (1, 1)], "none of it is counted twice");
    }

    #[test]
    fn requests_between_two_samples_are_one_interval_and_ten_minutes_are_stored() {
        let (traffic, start) = (Traffic::default(), Instant::now());
        assert!(traffic.intervals().is_empty());
        traffic.sample(start);
        assert!(traffic.intervals().is_empty());
        for refused in [true, false, false] {
            traffic.began();
            traffic.request(refused);
        }
        traffic.hit();
        traffic.sample(start + EVERY);
        let [interval] = traffic.intervals()[..] else { panic!("one interval") };
        assert_eq!((interval.requests, interval.hits, interval.refusals, interval.lasted), (3, 1, 1, EVERY));
        for number in 2..1000 {
            traffic.sample(start + number * EVERY);
        }
        let intervals = traffic.intervals();
        assert_eq!(intervals.len(), SAMPLES);
        assert!(intervals.iter().all(|interval| interval.requests == 0), "old intervals are gone");
    }
}
