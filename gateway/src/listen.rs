//! Accepts connections, each under a permit. Knows nothing of HTTP.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::OwnedSemaphorePermit,
};

use crate::{
    caller::Origin,
    limits::{ConnectionLimiter, ConnectionPermit},
    workload::Uid,
};

/// The wait after `accept` failed for lack of descriptors or memory: an immediate retry would only spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The length of the accept queue; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

/// One listening socket for pods.
pub struct Listener {
    socket: TcpListener,
    owner: Option<Uid>,
}

impl Listener {
    /// `owner` is set where only one workload connects to this listener.
    pub fn bind(address: SocketAddr, owner: Option<Uid>) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Each answer is one small write; waiting to fill a segment would only delay some by 40 ms. Connections inherit
        // the option from their listener (tcp(7)), which saves a system call per connection.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        Ok(Self { socket: socket.listen(BACKLOG)?, owner })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts the next connection once a permit is free. A connection over its address's limit is closed unanswered.
    pub async fn accept(&self, limiter: &ConnectionLimiter) -> (TcpStream, Origin, ConnectionPermit) {
        loop {
            // The permit comes before `accept`, so that connections wait in the kernel's queue. The semaphore is never
            // closed, so a permit always comes.
            let Ok(permit) = Arc::clone(&limiter.permits).acquire_owned().await else { continue };
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some(accepted) = self.admit(stream, peer, limiter, permit) {
                        return accepted;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        limiter: &ConnectionLimiter,
        permit: OwnedSemaphorePermit,
    ) -> Option<(TcpStream, Origin, ConnectionPermit)> {
        let connected_to = stream.local_addr().ok()?;
        let origin = Origin { peer, connected_to, listener_of: self.owner.clone() };
        let permit = limiter.permit(permit, origin.address())?;
        Some((stream, origin, permit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[tokio::test]
    async fn an_accepted_connection_waits_for_no_full_segment() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let client = TcpStream::connect(listener.address().unwrap());
        let limiter = ConnectionLimiter::new(Limits { connections: 1, connections_each: 1, requests_each: None });
        let (client, (stream, ..)) = tokio::join!(client, listener.accept(&limiter));
        assert!(client.is_ok() && stream.nodelay().unwrap());
    }
}
