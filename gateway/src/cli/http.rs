//! One request as a pod would send it, for the demo.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use metagate::admin::exchange;
use tokio::net::{TcpSocket, TcpStream};

/// Sends the request from the loopback address `from`, by which the gateway tells pods apart.
pub(super) async fn ask_as(from: IpAddr, to: SocketAddr, request: Request<Empty<Bytes>>) -> Result<Response<Bytes>> {
    let stream = connect(to, from).await.with_context(|| format!("no gateway answers at {to}"))?;
    Ok(exchange(stream, request).await?)
}

async fn connect(to: SocketAddr, from: IpAddr) -> std::io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}
