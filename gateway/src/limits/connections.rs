//! How much of the gateway there is, and how much of it one address may take: connections, and requests a second.

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

use super::rate::{RESTED, Rate};

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
    /// In a second. None: as many as it likes.
    pub requests_each: Option<NonZeroU32>,
}

/// A connection's place; dropping it frees the place.
pub struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    shares: Arc<Mutex<Shares>>,
    address: IpAddr,
    rate: Option<Arc<Rate>>,
}

/// A share outlives its connections: whoever opens one for each request asks no oftener by that.
#[derive(Default)]
struct Shares {
    of: HashMap<IpAddr, Share>,
    /// So many shares that some may be of addresses that are gone.
    look_at: usize,
}

struct Share {
    connections: usize,
    rate: Option<Arc<Rate>>,
    /// When it was made or last left.
    touched: Instant,
}

/// A node has 110 pods unless it was told otherwise.
const LOOK_AT_LEAST: usize = 256;

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

    /// Connections at this moment.
    pub fn open(&self) -> usize {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.of.values().map(|share| share.connections).sum()
    }

    /// Connections that were closed because their address had its share.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Requests that waited because their address had its share.
    pub fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }

    /// None where this address has its share already.
    pub(crate) fn permit(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<ConnectionPermit> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.forget_the_gone();
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
    /// Now and then: all in all, each share is looked at a few times.
    fn forget_the_gone(&mut self) {
        if self.of.len() < self.look_at.max(LOOK_AT_LEAST) {
            return;
        }
        // One that has rested for as long begins anew in any case.
        self.of.retain(|_, share| share.connections > 0 || share.touched.elapsed() < RESTED);
        self.look_at = 2 * self.of.len();
    }
}

impl ConnectionPermit {
    /// How often whoever has this place may ask; None: as often as it likes.
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
    async fn one_address_cannot_take_every_place() {
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
    async fn a_new_connection_asks_no_oftener_and_another_address_is_free_to() {
        let limiter = limiter(8, 8, 10);
        for _ in 0..10 {
            assert!(permit(&limiter, 1).await.unwrap().rate().unwrap().admits());
        }
        assert!(!permit(&limiter, 1).await.unwrap().rate().unwrap().admits());
        assert!(permit(&limiter, 2).await.unwrap().rate().unwrap().admits());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_are_gone_are_forgotten_and_those_that_are_there_are_not() {
        let limiter = limiter(8, 8, 10);
        let stays = permit(&limiter, 0).await.unwrap();
        while stays.rate().unwrap().admits() {}
        for address in 1..100_000 {
            drop(permit(&limiter, address).await.unwrap());
            tokio::time::advance(RESTED / 100).await;
            let shares = limiter.shares.lock().unwrap();
            assert!(shares.of.len() <= 2 * LOOK_AT_LEAST && shares.of.contains_key(&Ipv4Addr::from(0).into()));
        }
    }
}
