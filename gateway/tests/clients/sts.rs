//! What stands between the gateway and moto's STS: it can throttle, and shorten the life of credentials.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// As STS says it (a query API's error document).
const THROTTLED: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error>\
                         <RequestId>0</RequestId></ErrorResponse>";

pub(crate) struct Sts {
    pub(crate) endpoint: String,
    throttles: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Full<Bytes>>,
    moto: String,
    life: Option<Duration>,
    throttles: Arc<AtomicBool>,
}

impl Sts {
    pub(crate) async fn start(moto: &str, life: Option<Duration>, throttles: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let throttles = Arc::new(AtomicBool::new(throttles));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let proxy = Proxy { client, moto: moto.to_owned(), life, throttles: Arc::clone(&throttles) };
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = proxy.clone();
                let service = service_fn(move |request| {
                    let proxy = proxy.clone();
                    async move { Ok::<_, Infallible>(proxy.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { endpoint, throttles, accepting }
    }

    pub(crate) fn recover(&self) {
        self.throttles.store(false, Ordering::SeqCst);
    }
}

impl Drop for Sts {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (mut parts, body) = request.into_parts();
        if self.throttles.load(Ordering::SeqCst) {
            return Response::builder().status(StatusCode::BAD_REQUEST).body(Full::from(THROTTLED)).unwrap();
        }
        parts.uri = format!("{}/", self.moto).parse().unwrap();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = self.client.request(Request::from_parts(parts, Full::new(body))).await.unwrap();
        let (mut parts, body) = answer.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        parts.headers.remove(CONTENT_LENGTH);
        Response::from_parts(parts, Full::from(self.shortened(text)))
    }

    fn shortened(&self, text: String) -> String {
        const OPEN: &str = "<Expiration>";
        let Some(life) = self.life else { return text };
        let Some((before, rest)) = text.split_once(OPEN) else { return text };
        let (_, after) = rest.split_once('<').unwrap();
        let expiration = metagate::clock::rfc3339(metagate::clock::Clock::system().now() + life);
        format!("{before}{OPEN}{expiration}<{after}")
    }
}
