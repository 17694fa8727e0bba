//! OTLP/HTTP: a path for each signal.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpListener;

use super::{Received, Shared};

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            // A client that disconnects is not a failure of the collector.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else { return status(StatusCode::BAD_REQUEST) };
    let is_protobuf = head.headers.get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    let answered = match head.uri.path() {
        _ if !is_protobuf => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "/v1/metrics" => store(shared, body, |received, metrics| received.metrics.push(metrics)).await,
        "/v1/traces" => store(shared, body, |received, traces| received.traces.push(traces)).await,
        "/v1/logs" => store(shared, body, |received, logs| received.logs.push(logs)).await,
        _ => StatusCode::NOT_FOUND,
    };
    status(answered)
}

/// The body of a successful answer is an empty message: nothing was rejected.
async fn store<M: Message + Default>(shared: &Shared, body: Bytes, store: impl FnOnce(&mut Received, M)) -> StatusCode {
    match M::decode(body) {
        Ok(message) => {
            shared.take(|received| store(received, message)).await;
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
