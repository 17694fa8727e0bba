//! HTTP over a Unix socket, which reaches into a network namespace from outside.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

pub(crate) struct Body {
    pub(crate) content_type: &'static str,
    pub(crate) text: String,
}

/// None if nobody answers.
pub(crate) async fn send(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<Body>,
) -> Option<(StatusCode, String)> {
    let stream = UnixStream::connect(socket).await.ok()?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let driven = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(body) = &body {
        request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(body.content_type));
    }
    let bytes = Bytes::from(body.map_or_else(String::new, |body| body.text));
    let response = requests.send_request(request.body(Full::new(bytes)).unwrap()).await.ok()?;
    let status = response.status();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    driven.abort();
    Some((status, String::from_utf8(body.to_vec()).unwrap()))
}
