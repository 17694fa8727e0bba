//! How many connections there may be, in all and from one address.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone)]
pub struct Room {
    pub(super) places: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each: usize,
    turned_away: Arc<AtomicU64>,
}

/// A connection's place; dropping it frees the place.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Room {
    pub fn new(all: usize, each: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(all)), taken: Arc::default(), each, turned_away: Arc::default() }
    }

    /// Connections at this moment.
    pub fn open(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Connections that were closed because their address had its share.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// None where this address has its share already.
    pub(super) fn place(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_insert(0);
        if *count >= self.each {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *count += 1;
        Some(Place { _permit: permit, taken: Arc::clone(&self.taken), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = taken.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_cannot_take_every_place() {
        let room = Room::new(8, 2);
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let place = || async { room.place(Arc::clone(&room.places).acquire_owned().await.unwrap(), address) };
        let (first, second) = (place().await, place().await);
        assert!(first.is_some() && second.is_some());
        assert!(place().await.is_none());
        assert_eq!((room.open(), room.turned_away()), (2, 1));
        drop(first);
        assert!(place().await.is_some());
        drop(second);
        assert_eq!(room.places.available_permits(), 8);
        assert!(room.taken.lock().unwrap().is_empty());
    }
}
