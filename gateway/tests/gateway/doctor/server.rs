//! A small HTTP server on loopback that answers as the test says.

use std::{convert::Infallible, sync::Arc, time::SystemTime};

use aws_sdk_sts::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use http::{Request, Response, header::DATE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::{JoinHandle, JoinSet},
};

pub(crate) struct Ask {
    pub(crate) path: String,
    pub(crate) body: String,
}

pub(crate) enum Reply {
    Answer(u16, String),
    /// An answer with a `Date`.
    Dated(SystemTime, String),
    /// Takes the request and never answers.
    Silence,
}

/// Stops when dropped.
pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`.
    pub(crate) endpoint: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = dyn Fn(&Ask) -> Reply + Send + Sync;

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let answer: Arc<Answer> = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&answer)));
            }
        });
        Self { endpoint, task }
    }

    /// Listens on a Unix socket, as an admin listener may.
    pub(crate) fn on_socket(path: &std::path::Path, answer: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let answer: Arc<Answer> = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&answer)));
            }
        });
        Self { endpoint: format!("unix:{}", path.display()), task }
    }
}

/// An address where nobody listens any more.
pub(crate) async fn dead_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Arc<Answer>) {
    let serve = service_fn(|request| {
        let answer = Arc::clone(&answer);
        async move { Ok::<_, Infallible>(respond(request, &*answer).await) }
    });
    // A client that hangs up is not a failure here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
}

async fn respond(request: Request<Incoming>, answer: &Answer) -> Response<Full<Bytes>> {
    let path = request.uri().path_and_query().unwrap().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let ask = Ask { path, body: String::from_utf8_lossy(&body).into_owned() };
    match answer(&ask) {
        Reply::Answer(status, body) => Response::builder().status(status).body(body.into()).unwrap(),
        Reply::Dated(date, body) => {
            let date = DateTime::from(date).fmt(DateTimeFormat::HttpDate).unwrap();
            Response::builder().header(DATE, date).body(body.into()).unwrap()
        }
        Reply::Silence => std::future::pending().await,
    }
}
