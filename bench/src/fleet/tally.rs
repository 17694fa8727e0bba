//! How pods fared with their first requests.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub struct Tally {
    from: Duration,
    served: Mutex<Vec<Served>>,
    in_vain: Mutex<usize>,
}

#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Since the simulation began.
    pub at: Duration,
    /// The wait for its credential, since the roster knew the pod.
    pub waited: Duration,
    /// The pod had asked before the roster knew it.
    pub before_known: bool,
}

/// The waits of many first requests.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    pub requests: usize,
    /// The share of them that waited.
    pub share: f64,
    /// The median of those that waited.
    pub median: Duration,
    pub p99: Duration,
    pub longest: Duration,
    pub before_known: f64,
    /// Pods that ended without ever having been served.
    pub in_vain: usize,
}

impl Tally {
    /// Requests before `from` are not counted.
    pub fn new(from: Duration) -> Self {
        Self { from, served: Mutex::default(), in_vain: Mutex::default() }
    }

    pub fn served(&self, asked: Duration, waited: Duration, before_known: bool) {
        if asked >= self.from {
            guard(&self.served).push(Served { at: asked + waited, waited, before_known });
        }
    }

    pub fn in_vain(&self, asked: Duration) {
        if asked >= self.from {
            *guard(&self.in_vain) += 1;
        }
    }

    /// The time at which each was served, in order.
    pub fn moments(&self) -> Vec<Duration> {
        let mut moments: Vec<_> = guard(&self.served).iter().map(|served| served.at).collect();
        moments.sort_unstable();
        moments
    }

    pub fn waits(&self) -> Waits {
        let served = guard(&self.served);
        // The virtual clock does not move while nothing waits.
        let mut waited: Vec<_> = served.iter().map(|served| served.waited).filter(|waited| !waited.is_zero()).collect();
        waited.sort_unstable();
        let of_all = |part: usize| part as f64 / served.len().max(1) as f64;
        let before_known = served.iter().filter(|served| served.before_known).count();
        Waits {
            requests: served.len(),
            share: of_all(waited.len()),
            median: quantile(&waited, 0.5),
            p99: quantile(&waited, 0.99),
            longest: quantile(&waited, 1.0),
            before_known: of_all(before_known),
            in_vain: *guard(&self.in_vain),
        }
    }
}

/// A quantile of sorted values; zero if there are none.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
