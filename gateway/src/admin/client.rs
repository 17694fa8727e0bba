//! A small HTTP/1 client: the command line asks the admin listener of a running gateway with it.

use std::{error::Error, io};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use crate::config::AdminListen;

/// Far more than any answer of the admin listener.
const BODY_MAX: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("no gateway answers at {at}: {source}")]
    NoGateway { at: String, source: io::Error },
    #[error("what answers is not a gateway: {0}")]
    NoHttp(#[from] hyper::Error),
    #[error("the answer ended early: {0}")]
    Body(Box<dyn Error + Send + Sync>),
    #[error("{0} is not a valid path")]
    Path(String),
}

/// GETs `path` from the admin listener at `listen`.
pub async fn ask(listen: &AdminListen, path: &str) -> Result<Response<Bytes>, AskError> {
    let no_path = |_| AskError::Path(path.to_owned());
    let request = Request::get(path).header("host", "localhost").body(Empty::new()).map_err(no_path)?;
    match listen {
        AdminListen::Tcp(address) => {
            let no_gateway = |source| AskError::NoGateway { at: address.to_string(), source };
            exchange(TcpStream::connect(address).await.map_err(no_gateway)?, request).await
        }
        AdminListen::Unix(socket) => {
            let no_gateway = |source| AskError::NoGateway { at: socket.display().to_string(), source };
            exchange(UnixStream::connect(socket).await.map_err(no_gateway)?, request).await
        }
    }
}

/// Sends one request on `stream` and reads the answer.
pub async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Bytes>, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await.map_err(AskError::Body)?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
