//! Accepts sockets under a permit. Knows nothing of HTTP.

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

/// After `accept` failed for want of descriptors or memory: trying again at once would only spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

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
    pub async fn accept(&self, limiter: &ConnectionLimiter) -> (TcpStream, Origin, ConnectionPermit) {
        loop {
            // Before accepting: those who must wait do so in the kernel's queue. Never closed, so a permit always comes.
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
