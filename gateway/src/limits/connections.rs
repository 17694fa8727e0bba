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
pub struct Room {
    pub(crate) places: Arc<Semaphore>,
    shares: Arc<Mutex<Shares>>,
    limits: Limits,
    turned_away: Arc<AtomicU64>,
    slowed: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub connections_each: usize,
    /// In a second. None: as many as it likes.
    pub requests_each: Option<NonZeroU32>,
}

/// A connection's place; dropping it frees the place.
pub struct Place {
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

impl Room {
    pub fn new(limits: Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.connections)),
            shares: Arc::default(),
            limits,
            turned_away: Arc::default(),
            slowed: Arc::default(),
        }
    }

    /// Connections at this moment.
    pub fn open(&self) -> usize {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.of.values().map(|share| share.connections).sum()
    }

    /// Connections that were closed because their address had its share.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Requests that waited because their address had its share.
    pub fn slowed(&self) -> u64 {
        self.slowed.load(Ordering::Relaxed)
    }

    /// None where this address has its share already.
    pub(crate) fn place(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.forget_the_gone();
        let share = shares.of.entry(address).or_insert_with(|| Share {
            connections: 0,
            rate: self.limits.requests_each.map(|each| Arc::new(Rate::new(each, Arc::clone(&self.slowed)))),
            touched: Instant::now(),
        });
        if share.connections >= self.limits.connections_each {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        share.connections += 1;
        Some(Place { _permit: permit, shares: Arc::clone(&self.shares), address, rate: share.rate.clone() })
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

impl Place {
    /// How often whoever has this place may ask; None: as often as it likes.
    pub fn rate(&self) -> Option<&Rate> {
        self.rate.as_deref()
    }
}

impl Drop for Place {
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

    fn room(connections: usize, connections_each: usize, requests_each: u32) -> Room {
        Room::new(Limits { connections, connections_each, requests_each: NonZeroU32::new(requests_each) })
    }

    async fn place(room: &Room, address: u32) -> Option<Place> {
        let permit = Arc::clone(&room.places).acquire_owned().await.unwrap();
        room.place(permit, Ipv4Addr::from(address).into())
    }

    #[tokio::test]
    async fn one_address_cannot_take_every_place() {
        let room = room(8, 2, 0);
        let (first, second) = (place(&room, 1).await, place(&room, 1).await);
        assert!(first.is_some() && second.is_some());
        assert!(place(&room, 1).await.is_none() && place(&room, 2).await.is_some());
        assert_eq!((room.open(), room.turned_away()), (2, 1));
        drop(first);
        assert!(place(&room, 1).await.is_some());
        drop(second);
        assert_eq!((room.open(), room.places.available_permits()), (0, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_asks_no_oftener_and_another_address_is_free_to() {
        let room = room(8, 8, 10);
        for _ in 0..10 {
            assert!(place(&room, 1).await.unwrap().rate().unwrap().admits());
        }
        assert!(!place(&room, 1).await.unwrap().rate().unwrap().admits());
        assert!(place(&room, 2).await.unwrap().rate().unwrap().admits());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_are_gone_are_forgotten_and_those_that_are_there_are_not() {
        let room = room(8, 8, 10);
        let stays = place(&room, 0).await.unwrap();
        while stays.rate().unwrap().admits() {}
        for address in 1..100_000 {
            drop(place(&room, address).await.unwrap());
            tokio::time::advance(RESTED / 100).await;
            let shares = room.shares.lock().unwrap();
            assert!(shares.of.len() <= 2 * LOOK_AT_LEAST && shares.of.contains_key(&Ipv4Addr::from(0).into()));
        }
    }
}
