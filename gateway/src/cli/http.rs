//! One small HTTP/1 request at a time: to the admin side, and in the demo as a pod would.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, UnixStream},
};

/// No answer of ours is near this.
const BODY_MAX: usize = 16 << 20;

/// Where the admin side listens, as `admin.listen` writes it.
pub(super) async fn ask_admin(listen: &metagate::config::AdminListen, path: &str) -> Result<Response<Bytes>> {
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    match listen {
        metagate::config::AdminListen::Tcp(address) => {
            let stream = connect(*address, None).await.with_context(|| format!("no gateway answers at {address}"))?;
            send(stream, request).await
        }
        metagate::config::AdminListen::Unix(socket) => {
            let shown = socket.display();
            let stream = UnixStream::connect(socket).await.with_context(|| format!("no gateway answers at {shown}"))?;
            send(stream, request).await
        }
    }
}

/// From `from`, where pods are told apart by their loopback address.
pub(super) async fn ask_as(from: IpAddr, to: SocketAddr, request: Request<Empty<Bytes>>) -> Result<Response<Bytes>> {
    let stream = connect(to, Some(from)).await.with_context(|| format!("no gateway answers at {to}"))?;
    send(stream, request).await
}

async fn connect(to: SocketAddr, from: Option<IpAddr>) -> std::io::Result<tokio::net::TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(to).await
}

async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
