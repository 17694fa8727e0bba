//! The request rate of one address: a token bucket with a one-second burst.
//!
//! Excess requests are delayed, not refused: an SDK that is refused once, as by a 429, tells its application that there
//! are no credentials.

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

/// A pod over its rate is named in the log at most this often.
const NAMED_EVERY: Duration = Duration::from_secs(60);

/// One address's requests, over all its connections.
pub struct Rate {
    requests: Limiter,
    log_lines: Option<Limiter>,
    /// Delayed requests, first come, first served. Only the first one watches the clock, and a cancelled one uses no
    /// token.
    queue: Mutex<()>,
    delayed: Arc<AtomicU64>,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Elapsed>;

/// After this long without a request the token bucket is full: one second's requests may come at once.
pub(super) const REFILL: Duration = Duration::from_secs(1);

impl Rate {
    pub(super) fn new(each_second: NonZeroU32, delayed: Arc<AtomicU64>) -> Self {
        let clock = Elapsed(Instant::now());
        Self {
            requests: RateLimiter::direct_with_clock(Quota::per_second(each_second), clock),
            log_lines: Quota::with_period(NAMED_EVERY).map(|quota| RateLimiter::direct_with_clock(quota, clock)),
            queue: Mutex::new(()),
            delayed,
        }
    }

    /// Whether a request may proceed now. If not, it waits for its [`Self::turn`].
    pub fn admits(&self) -> bool {
        self.requests.check().is_ok()
    }

    /// Waits until the request may proceed: about as long as the requests that wait already take at this rate. Each of
    /// them holds a connection of the address, so they are few. A new request may overtake the first one that waits if
    /// it arrives just as that one's wait ends.
    pub async fn turn(&self) {
        self.delayed.fetch_add(1, Ordering::Relaxed);
        let _first = self.queue.lock().await;
        while let Err(early) = self.requests.check() {
            tokio::time::sleep(early.wait_time_from(self.requests.clock().now())).await;
        }
    }

    /// Whether it is time to name the pod in the log.
    pub fn may_log(&self) -> bool {
        self.log_lines.as_ref().is_some_and(|lines| lines.check().is_ok())
    }
}

/// The time since the limiter was made, by tokio's clock.
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
    async fn a_burst_of_one_second_passes_at_once_and_then_each_request_is_delayed() {
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
        tokio::time::advance(REFILL).await;
        assert!((0..100).all(|_| rate.admits()) && !rate.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_requests_are_served_in_order_and_a_cancelled_one_delays_no_other() {
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
        let cancelled = waiting.remove(1);
        cancelled.abort();
        let mut served = Vec::new();
        for one in waiting {
            served.push(one.await.unwrap());
        }
        assert_eq!(served, [10, 20].map(Duration::from_millis));
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_at_once_pass_at_the_rate() {
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
        assert!(rate.may_log() && !rate.may_log());
        tokio::time::advance(NAMED_EVERY).await;
        assert!(rate.may_log());
    }
}
