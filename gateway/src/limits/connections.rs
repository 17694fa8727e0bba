//! Limits: connections in total, and connections and requests per second of one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::rate::{REFILL, Rate};

/// Cheap to clone.
#[derive(Clone)]
pub struct ConnectionLimiter {
    pub(crate) permits: Arc<Semaphore>,
    shares: Arc<Mutex<Shares>>,
    limits: Limits,
    rejected: Arc<AtomicU64>,
    delayed: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub connections_each: usize,
    /// Per second. None: unlimited.
    pub requests_each: Option<NonZeroU32>,
}

/// Permits one connection; dropping it frees the permit.
pub struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    shares: Arc<Mutex<Shares>>,
    address: IpAddr,
    rate: Option<Arc<Rate>>,
}

/// A share outlives its connections, so a client that opens one for each request keeps the same rate limit.
#[derive(Default)]
struct Shares {
    of: HashMap<IpAddr, Share>,
    /// At this many shares, those of unused addresses are removed.
    prune_at: usize,
}

struct Share {
    connections: usize,
    rate: Option<Arc<Rate>>,
    /// When it was made, or when one of its connections last ended.
    touched: Instant,
}

/// A node has 110 pods by default.
const PRUNE_AT_LEAST: usize = 256;

impl ConnectionLimiter {
    pub fn new(limits: Limits) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.connections)),
            shares: Arc::default(),
            limits,
            rejected: Arc::default(),
            delayed: Arc::default(),
        }
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.of.values().map(|share| share.connections).sum()
    }

    /// Connections that were closed because their address was at its limit.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Requests that were delayed because their address was over its rate.
    pub fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }

    /// None where this address is at its limit.
    pub(crate) fn permit(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<ConnectionPermit> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.prune();
        let share = shares.of.entry(address).or_insert_with(|| Share {
            connections: 0,
            rate: self.limits.requests_each.map(|each| Arc::new(Rate::new(each, Arc::clone(&self.delayed)))),
            touched: Instant::now(),
        });
        if share.connections >= self.limits.connections_each {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        share.connections += 1;
        Some(ConnectionPermit { _permit: permit, shares: Arc::clone(&self.shares), address, rate: share.rate.clone() })
    }
}

impl Shares {
    /// Runs when the number of shares has doubled, so each share is checked only a few times in all.
    fn prune(&mut self) {
        if self.of.len() < self.prune_at.max(PRUNE_AT_LEAST) {
            return;
        }
        // After this long without a connection the token bucket is full, so a new share is the same.
        self.of.retain(|_, share| share.connections > 0 || share.touched.elapsed() < REFILL);
        self.prune_at = 2 * self.of.len();
    }
}

impl ConnectionPermit {
    /// The rate limit of this connection's address; None: unlimited.
    pub fn rate(&self) -> Option<&Rate> {
        self.rate.as_deref()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.of.get_mut(&self.address) {
            share.connections -= 1;
            share.touched = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn limiter(connections: usize, connections_each: usize, requests_each: u32) -> ConnectionLimiter {
        ConnectionLimiter::new(Limits { connections, connections_each, requests_each: NonZeroU32::new(requests_each) })
    }

    async fn permit(limiter: &ConnectionLimiter, address: u32) -> Option<ConnectionPermit> {
        let permit = Arc::clone(&limiter.permits).acquire_owned().await.unwrap();
        limiter.permit(permit, Ipv4Addr::from(address).into())
    }

    #[tokio::test]
    async fn one_address_cannot_take_every_permit() {
        let limiter = limiter(8, 2, 0);
        let (first, second) = (permit(&limiter, 1).await, permit(&limiter, 1).await);
        assert!(first.is_some() && second.is_some());
        assert!(permit(&limiter, 1).await.is_none() && permit(&limiter, 2).await.is_some());
        assert_eq!((limiter.open(), limiter.rejected()), (2, 1));
        drop(first);
        assert!(permit(&limiter, 1).await.is_some());
        drop(second);
        assert_eq!((limiter.open(), limiter.permits.available_permits()), (0, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_same_rate_and_another_address_its_own() {
        let limiter = limiter(8, 8, 10);
        for _ in 0..10 {
            assert!(permit(&limiter, 1).await.unwrap().rate().unwrap().admits());
        }
        assert!(!permit(&limiter, 1).await.unwrap().rate().unwrap().admits());
        assert!(permit(&limiter, 2).await.unwrap().rate().unwrap().admits());
    }

    #[tokio::test(start_paused = true)]
    async fn shares_of_unused_addresses_are_removed_and_those_in_use_are_not() {
        let limiter = limiter(8, 8, 10);
        let stays = permit(&limiter, 0).await.unwrap();
        while stays.rate().unwrap().admits() {}
        for address in 1..100_000 {
            drop(permit(&limiter, address).await.unwrap());
            tokio::time::advance(REFILL / 100).await;
            let shares = limiter.shares.lock().unwrap();
            assert!(shares.of.len() <= 2 * PRUNE_AT_LEAST && shares.of.contains_key(&Ipv4Addr::from(0).into()));
        }
    }
}
