//! hyper alone: what serving the same bytes costs without a gateway.

use std::{convert::Infallible, future::ready};

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, SERVER},
};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Answers every request with a credential document, until dropped. The connection's settings are those of
/// `metagate::connection` and `metagate::listen`.
pub async fn serve(listener: TcpListener, document: Bytes) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, document.clone()));
    }
}

async fn connection(stream: TcpStream, document: Bytes) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|_| ready(Ok::<_, Infallible>(answer(document.clone()))));
    let _ = http1::Builder::new()
        .max_buf_size(16 * 1024)
        .max_headers(64)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

fn answer(document: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(document));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(SERVER, HeaderValue::from_static("EC2ws"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
