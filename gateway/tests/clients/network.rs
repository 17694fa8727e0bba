//! A pod's network: what is sent here reaches the gateway from the pod's own address, as on a node.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{HOST, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::pods::Pod;

/// Which of the metadata service's two protocols passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passes {
    Everything,
    /// As behind a proxy that is older than IMDSv2: no token can be had. SDKs may then fall back to IMDSv1.
    OnlyV1,
    /// Everything, but the first request for credentials gets the gateway's 503, as while it has none to give.
    CredentialsAfterOneRefusal,
}

pub(crate) struct Network {
    /// The endpoint that a pod's SDK gets.
    pub(crate) endpoint: String,
    accepting: JoinHandle<()>,
}

impl Network {
    pub(crate) async fn of(pod: Pod, gateway: SocketAddr, passes: Passes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(IpAddr::V4(pod.address)));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let way = Way { client, gateway, passes, refused: Arc::default() };
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let way = way.clone();
                let service = service_fn(move |request| {
                    let way = way.clone();
                    async move { Ok::<_, Infallible>(way.carry(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { endpoint, accepting }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Clone)]
struct Way {
    client: Client<HttpConnector, Incoming>,
    gateway: SocketAddr,
    passes: Passes,
    refused: Arc<AtomicBool>,
}

impl Way {
    async fn carry(&self, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.passes == Passes::OnlyV1 && request.method() == Method::PUT {
            return answer(StatusCode::METHOD_NOT_ALLOWED);
        }
        // A redirect does not change Host: the pod asked the metadata service.
        request.headers_mut().insert(HOST, HeaderValue::from_static("169.254.169.254"));
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let asks_credentials = path.split_once("/security-credentials/").is_some_and(|(_, role)| !role.is_empty());
        if self.passes == Passes::CredentialsAfterOneRefusal
            && asks_credentials
            && !self.refused.swap(true, Ordering::SeqCst)
        {
            let mut refusal = answer(StatusCode::SERVICE_UNAVAILABLE);
            refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return refusal;
        }
        *request.uri_mut() =
            Uri::builder().scheme("http").authority(self.gateway.to_string()).path_and_query(path).build().unwrap();
        let Ok(response) = self.client.request(request).await else { return answer(StatusCode::BAD_GATEWAY) };
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => Response::from_parts(parts, Full::new(body.to_bytes())),
            Err(_) => answer(StatusCode::BAD_GATEWAY),
        }
    }
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
