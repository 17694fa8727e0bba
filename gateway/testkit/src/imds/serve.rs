//! The fake's connections and answers, down to bytes that are not HTTP.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, SERVER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Fault, Node};

pub(super) async fn accept(listener: TcpListener, node: Arc<Node>) {
    // The connections are dropped with this task.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        node.lock().connections += 1;
        connections.spawn(serve(stream, node.clone()));
    }
}

async fn serve(mut stream: TcpStream, node: Arc<Node>) {
    let fault = node.lock().fault.clone();
    if let Some(Fault::Reset | Fault::Garbage) = fault {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        if fault == Some(Fault::Garbage) {
            let _ = stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await;
        } else {
            // Zero linger discards unsent state, which sends a reset.
            let _ = stream.set_zero_linger();
        }
        return;
    }
    let service = service_fn(|request| {
        let node = node.clone();
        async move { Ok::<_, Infallible>(node.answer(request).await) }
    });
    // Recorded answers of the real service carry `Connection: close`.
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}

pub(super) fn document(content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(SERVER, HeaderValue::from_static("EC2ws"));
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

/// A page like those that IMDS sends for errors.
pub(super) fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = document("text/html", format!("<html><title>{status}</title></html>"));
    *response.status_mut() = status;
    response
}
