//! How often one address may ask.
//!
//! Who asks more often waits its turn and is answered all the same: an SDK that is refused once, as by a 429, tells its
//! application that there are no credentials.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::{sync::Mutex, time::Instant};

/// A pod that asks too often is named in the log at most this often.
const NAMED_EVERY: Duration = Duration::from_secs(60);

/// One address's requests, over all its connections.
pub struct Rate {
    requests: Limiter,
    names: Option<Limiter>,
    /// Those who wait, first come, first served. Only the first looks at the time, and whoever leaves takes nothing along.
    queue: Mutex<()>,
    delayed: Arc<AtomicU64>,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Elapsed>;

/// After one second without a request as many as in a second may come at once.
pub(super) const RESTED: Duration = Duration::from_secs(1);

impl Rate {
    pub(super) fn new(each_second: NonZeroU32, delayed: Arc<AtomicU64>) -> Self {
        let clock = Elapsed(Instant::now());
        Self {
            requests: RateLimiter::direct_with_clock(Quota::per_second(each_second), clock),
            names: Quota::with_period(NAMED_EVERY).map(|quota| RateLimiter::direct_with_clock(quota, clock)),
            queue: Mutex::new(()),
            delayed,
        }
    }

    /// Whether it may ask now. If not, it has a [`Self::turn`] to wait for.
    pub fn admits(&self) -> bool {
        self.requests.check().is_ok()
    }

    /// Waits until it may ask again: about as long as those who wait already take at this rate. Each has a connection of the
    /// address, so they are few. One that comes just when it is the first's time may go before it.
    pub async fn turn(&self) {
        self.delayed.fetch_add(1, Ordering::Relaxed);
        let _first = self.queue.lock().await;
        while let Err(early) = self.requests.check() {
            tokio::time::sleep(early.wait_time_from(self.requests.clock().now())).await;
        }
    }

    /// Whether it is time to name the pod in the log.
    pub fn is_news(&self) -> bool {
        self.names.as_ref().is_some_and(|names| names.check().is_ok())
    }
}

/// Since the limiter was made, by tokio's clock.
#[derive(Clone, Copy)]
struct Elapsed(Instant);

impl Clock for Elapsed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn rate(each_second: u32) -> Arc<Rate> {
        Arc::new(Rate::new(NonZeroU32::new(each_second).unwrap(), Arc::default()))
    }

    async fn ask(rate: &Rate) {
        if !rate.admits() {
            rate.turn().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_comes_at_once_and_then_each_waits_its_turn() {
        let (rate, began) = (rate(100), Instant::now());
        for _ in 0..100 {
            assert!(rate.admits());
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..50 {
            ask(&rate).await;
        }
        assert_eq!(began.elapsed(), Duration::from_millis(500));
        assert_eq!(rate.delayed.load(Ordering::Relaxed), 50);
        tokio::time::advance(RESTED).await;
        assert!((0..100).all(|_| rate.admits()) && !rate.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_in_order_and_whoever_leaves_costs_the_others_nothing() {
        let (rate, began) = (rate(100), Instant::now());
        while rate.admits() {}
        let mut waiting: Vec<_> = (0..3)
            .map(|_| {
                let rate = Arc::clone(&rate);
                tokio::spawn(async move {
                    rate.turn().await;
                    began.elapsed()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let left = waiting.remove(1);
        left.abort();
        let mut served = Vec::new();
        for one in waiting {
            served.push(one.await.unwrap());
        }
        assert_eq!(served, [10, 20].map(Duration::from_millis));
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_wait_at_once_come_at_the_rate() {
        let (rate, began) = (rate(200), Instant::now());
        let mut asking = JoinSet::new();
        for _ in 0..64 {
            let rate = Arc::clone(&rate);
            asking.spawn(async move {
                for _ in 0..100 {
                    ask(&rate).await;
                }
            });
        }
        asking.join_all().await;
        // 6,400 requests, of which 200 came at once.
        assert_eq!(began.elapsed(), Duration::from_secs(31));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_is_named_once_a_minute() {
        let rate = rate(1);
        assert!(rate.is_news() && !rate.is_news());
        tokio::time::advance(NAMED_EVERY).await;
        assert!(rate.is_news());
    }
}
