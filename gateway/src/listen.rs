//! Accepts sockets under a permit. Knows nothing of HTTP.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{caller::Origin, workload::Uid};

/// After `accept` failed for want of descriptors or memory: trying again at once would only spin.
const BREATH: Duration = Duration::from_millis(50);

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

/// How many connections there may be, in all and from one address.
#[derive(Clone)]
pub struct Room {
    places: Arc<Semaphore>,
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
    fn place(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
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

/// One listening socket of the pods' side.
pub struct Listener {
    socket: TcpListener,
    owner: Option<Uid>,
}

impl Listener {
    /// `owner` is set where everybody who connects here is one workload.
    pub fn bind(address: SocketAddr, owner: Option<Uid>) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Answers are one small write each; waiting to fill a segment would only add 40 ms to some. Connections have it from
        // their listener (tcp(7)), which spares each of them a system call.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        Ok(Self { socket: socket.listen(BACKLOG)?, owner })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection that there is room for. One that is over its address's share is closed unanswered.
    pub async fn accept(&self, room: &Room) -> (TcpStream, Origin, Place) {
        loop {
            // Before accepting: those who must wait do so in the kernel's queue. Never closed, so a permit always comes.
            let Ok(permit) = Arc::clone(&room.places).acquire_owned().await else { continue };
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some(accepted) = self.admit(stream, peer, room, permit) {
                        return accepted;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        room: &Room,
        permit: OwnedSemaphorePermit,
    ) -> Option<(TcpStream, Origin, Place)> {
        let connected_to = stream.local_addr().ok()?;
        let origin = Origin { peer, connected_to, listener_of: self.owner.clone() };
        let place = room.place(permit, origin.address())?;
        Some((stream, origin, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_connection_waits_for_no_full_segment() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let client = TcpStream::connect(listener.address().unwrap());
        let room = Room::new(1, 1);
        let (client, (stream, ..)) = tokio::join!(client, listener.accept(&room));
        assert!(client.is_ok() && stream.nodelay().unwrap());
    }

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
