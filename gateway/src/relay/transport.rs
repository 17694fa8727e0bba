//! One HTTP exchange with the node's metadata service: a request without a byte from a client, an answer of bounded
//! size.

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{Observer, UpstreamRequest};

/// Long for a link-local peer, and no longer than the second that botocore waits in all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest document is user data, 16 KiB before encoding (EC2 User Guide); four times that is still harmless.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// IMDS sends about ten header fields; an upstream with a larger head is not IMDS.
const HEAD_MAX: usize = 16 * 1024;
/// IMDS caps concurrent connections and closes idle ones; two are enough for cached values.
const IDLE_CONNECTIONS: usize = 2;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// `http://HOST[:PORT]`: the address of the node's metadata service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(uri::Authority);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("is not a URL of the form http://HOST or http://HOST:PORT")]
    Shape,
    #[error("is not an http:// URL; the metadata service speaks no TLS")]
    Scheme,
    #[error("has a path, a query or a user; write http://HOST or http://HOST:PORT only")]
    Surplus,
}

pub(super) struct Transport {
    client: Client<HttpConnector, Empty<Bytes>>,
    endpoint: Endpoint,
    observer: Arc<dyn Observer>,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Debug)]
pub(super) enum TransportError {
    TooLarge,
    /// A description of the failure.
    Unavailable(String),
}

impl TransportError {
    /// A metric label.
    fn label(&self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Transport {
    pub(super) fn new(endpoint: Endpoint, observer: Arc<dyn Observer>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(HEAD_MAX)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Self { client, endpoint, observer }
    }

    /// Sends `Host` and the given header only. Redirects are answers like any other.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Reply, TransportError> {
        let mut observed = Observed::begin(self, &method);
        let answer = self.exchange(method, path, header).await;
        observed.outcome = answer.as_ref().map(|reply| reply.status.as_u16()).map_err(TransportError::label);
        answer
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Reply, TransportError> {
        let request =
            self.request(method, path, header).map_err(|error| TransportError::Unavailable(error.to_string()))?;
        let response = self.client.request(request).await.map_err(unavailable)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await.map_err(|error| {
            match error.downcast::<LengthLimitError>() {
                Ok(_) => TransportError::TooLarge,
                Err(error) => TransportError::Unavailable(format!("ended early: {error}")),
            }
        })?;
        Ok(Reply { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Request<Empty<Bytes>>, http::Error> {
        let uri = Uri::builder()
            .scheme(uri::Scheme::HTTP)
            .authority(self.endpoint.0.clone())
            .path_and_query(format!("/latest/{path}"))
            .build()?;
        let mut request = Request::builder().method(method).uri(uri).body(Empty::new())?;
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

/// A request in progress. It is reported to the observer on drop, so also if it is cancelled.
struct Observed<'a> {
    transport: &'a Transport,
    method: &'static str,
    began: Instant,
    outcome: Result<u16, &'static str>,
}

impl<'a> Observed<'a> {
    fn begin(transport: &'a Transport, method: &Method) -> Self {
        let method = if *method == Method::PUT { "PUT" } else { "GET" };
        Self { transport, method, began: Instant::now(), outcome: Err("timeout") }
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        let authority = &self.transport.endpoint.0;
        self.transport.observer.requested(&UpstreamRequest {
            method: self.method,
            host: authority.host(),
            port: authority.port_u16().unwrap_or(80),
            outcome: self.outcome,
            took: self.began.elapsed(),
        });
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(written: &str) -> Result<Self, EndpointError> {
        let uri: Uri = written.parse().map_err(|_| EndpointError::Shape)?;
        let parts = uri.into_parts();
        let (scheme, authority) =
            (parts.scheme.ok_or(EndpointError::Shape)?, parts.authority.ok_or(EndpointError::Shape)?);
        if scheme != uri::Scheme::HTTP {
            return Err(EndpointError::Scheme);
        }
        let surplus = parts.path_and_query.is_some_and(|path| path != "/") || authority.as_str().contains('@');
        if surplus { Err(EndpointError::Surplus) } else { Ok(Self(authority)) }
    }
}

/// The client's own text names only the phase that failed; its sources name the cause.
fn unavailable(error: hyper_util::client::legacy::Error) -> TransportError {
    TransportError::Unavailable(format!("{:#}", anyhow::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_http_address() {
        for (written, outcome) in [
            ("http://127.0.0.1:1338", Ok("127.0.0.1:1338")),
            ("http://[::1]:80/", Ok("[::1]:80")),
            ("http://imds.test", Ok("imds.test")),
            ("https://imds.test", Err(EndpointError::Scheme)),
            ("http://imds.test/latest", Err(EndpointError::Surplus)),
            ("http://imds.test?x", Err(EndpointError::Surplus)),
            ("http://user@imds.test", Err(EndpointError::Surplus)),
            ("imds.test", Err(EndpointError::Shape)),
            ("", Err(EndpointError::Shape)),
        ] {
            let parsed = written.parse::<Endpoint>();
            assert_eq!(parsed.as_ref().map(|endpoint| endpoint.0.as_str()).map_err(|e| *e), outcome, "{written}");
        }
    }
}
