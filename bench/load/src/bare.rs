//! hyper alone: what serving the same bytes costs without a gateway.

use std::{convert::Infallible, future::ready, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, SERVER},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{TOKEN_TTL, TTL_SECONDS};

/// A gateway's answers, for a server that repeats them without knowing why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Script {
    pub token: String,
    pub role: String,
    pub document: String,
}

struct Answers {
    token: Bytes,
    role: Bytes,
    document: Bytes,
}

/// Answers every request from `script`, until dropped. Connections have the settings of `metagate::connection` and
/// `metagate::listen`.
pub async fn serve(listener: TcpListener, script: Script) {
    let answers =
        Arc::new(Answers { token: script.token.into(), role: script.role.into(), document: script.document.into() });
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, Arc::clone(&answers)));
        // Otherwise the set would keep ended connections.
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, answers: Arc<Answers>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| ready(Ok::<_, Infallible>(answers.to(&request))));
    let _ = http1::Builder::new()
        .max_buf_size(16 * 1024)
        .max_headers(64)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

impl Answers {
    fn to(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() == Method::PUT {
            let mut response = text(&self.token);
            let ttl = HeaderName::from_static(TOKEN_TTL);
            response.headers_mut().insert(ttl, HeaderValue::from_static(TTL_SECONDS));
            return response;
        }
        if request.uri().path().ends_with('/') {
            return text(&self.role);
        }
        let mut response = text(&self.document);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn text(body: &Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(SERVER, HeaderValue::from_static("EC2ws"));
    response
}
