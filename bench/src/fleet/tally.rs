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
    /// For its credential, since the roster knew the pod.
    pub waited: Duration,
    /// It had asked before the roster knew the pod.
    pub before_known: bool,
}

/// Of many first requests.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    pub requests: usize,
    /// Of them, the share that waited.
    pub share: f64,
    /// Of those that waited.
    pub median: Duration,
    pub p99: Duration,
    pub longest: Duration,
    pub before_known: f64,
    /// Pods that ended without ever having been served.
    pub in_vain: usize,
}

impl Tally {
    /// What is asked before `from` is not counted.
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

    /// When the first, the second and the last were served.
    pub fn moments(&self) -> Vec<Duration> {
        let mut moments: Vec<_> = guard(&self.served).iter().map(|served| served.at).collect();
        moments.sort_unstable();
        moments
    }

    pub fn waits(&self) -> Waits {
        let served = guard(&self.served);
        // The virtual clock stands still where nothing waits.
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

/// Of what is sorted; zero where there is nothing.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
