//! A node's metadata service on loopback: IMDSv2 with real tokens, a record of all requests, and faults.

mod serve;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::Incoming,
    header::{HeaderValue, LOCATION},
};
use tokio::{net::TcpListener, task::JoinHandle};

use serve::{accept, document, status};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const MAX_TTL: u32 = 21_600;

/// Is in every credential that this fake gives out: no pod must ever see it.
pub const NODE_SECRET: &str = "fake-node-credential-that-no-pod-may-see";

/// Stops when dropped.
pub struct FakeImds {
    address: SocketAddr,
    node: Arc<Node>,
    accepting: JoinHandle<()>,
}

/// What one request looked like on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub method: String,
    /// With its query.
    pub path: String,
    /// In the order sent, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every answer is delayed by this time.
    Slow(Duration),
    /// No answer ever comes.
    Hang,
    /// Tokens never arrive, as with a hop limit of 1 seen from a container.
    HangTokens,
    /// The connection is reset instead of an answer.
    Reset,
    /// Bytes that are no HTTP.
    Garbage,
    /// Every GET is answered with this status.
    Status(u16),
    /// Every GET is redirected there.
    Redirect(String),
    /// Every GET is answered with this many bytes.
    Huge(usize),
    /// PUT of a token is answered with this status, and GETs need no token: an IMDSv1 mock.
    NoTokens(u16),
    /// PUT of a token is answered 200 with this.
    TokenBody(String),
    /// Every token is rejected.
    RejectTokens,
}

#[derive(Default)]
struct Node {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    documents: BTreeMap<String, (String, Bytes)>,
    tokens: BTreeSet<String>,
    minted: usize,
    token_ttl: Option<u32>,
    received: Vec<Received>,
    connections: usize,
    fault: Option<Fault>,
}

impl FakeImds {
    /// Listens on a free port of 127.0.0.1, with a small instance's documents and the node's own credentials.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let node = Arc::new(Node::default());
        let accepting = tokio::spawn(accept(listener, node.clone()));
        let fake = Self { address, node, accepting };
        fake.put_sample();
        Ok(fake)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stores a text at a path below `/latest/`; a path that ends with a slash is a listing.
    pub fn put(&self, path: &str, text: impl Into<Bytes>) {
        self.put_as(path, "text/plain", text);
    }

    pub fn put_as(&self, path: &str, content_type: &str, body: impl Into<Bytes>) {
        self.node.lock().documents.insert(path.to_owned(), (content_type.to_owned(), body.into()));
    }

    pub fn remove(&self, path: &str) {
        self.node.lock().documents.remove(path);
    }

    /// Applies until the next call; None ends it.
    pub fn set_fault(&self, fault: impl Into<Option<Fault>>) {
        self.node.lock().fault = fault.into();
    }

    /// Invalidates every token issued so far, as a restart does.
    pub fn forget_tokens(&self) {
        self.node.lock().tokens.clear();
    }

    /// Every request that could be read, in order.
    pub fn requests(&self) -> Vec<Received> {
        self.node.lock().received.clone()
    }

    /// The paths below `/latest/` of the GETs so far.
    pub fn gets(&self) -> Vec<String> {
        let requests = self.requests();
        let gets = requests.iter().filter(|request| request.method == "GET");
        gets.map(|request| request.path.strip_prefix("/latest/").unwrap_or(&request.path).to_owned()).collect()
    }

    /// The TTL that tokens issued from now on claim, whatever was requested. They never expire here.
    pub fn set_token_ttl(&self, seconds: u32) {
        self.node.lock().token_ttl = Some(seconds);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.node.lock().connections
    }

    pub fn forget_requests(&self) {
        self.node.lock().received.clear();
    }

    fn put_sample(&self) {
        for (path, text) in [
            ("meta-data/instance-id", "i-0123456789abcdef0"),
            ("meta-data/instance-type", "m6i.large"),
            ("meta-data/placement/availability-zone", "eu-west-1a"),
            ("meta-data/placement/region", "eu-west-1"),
            ("meta-data/tags/instance/", "Name\nTeam"),
            ("meta-data/tags/instance/Name", "node"),
            ("meta-data/tags/instance/Team", "payments"),
            ("meta-data/iam/security-credentials/", "node"),
        ] {
            self.put(path, text);
        }
        self.put("meta-data/iam/info", INFO);
        self.put_as("user-data", "application/octet-stream", "#!/bin/sh\n");
        for path in [
            "meta-data/iam/security-credentials/node",
            "meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        ] {
            self.put(path, format!(r#"{{"Code":"Success","SecretAccessKey":"{NODE_SECRET}"}}"#));
        }
    }
}

const INFO: &str = r#"{"Code":"Success","LastUpdated":"2025-01-01T00:00:00Z","InstanceProfileArn":"arn:aws:iam::123456789012:instance-profile/node","InstanceProfileId":"AIPA0123456789EXAMPLE"}"#;

impl Drop for FakeImds {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Node {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = head.uri.to_string();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let fault = {
            let mut state = self.lock();
            state.received.push(Received { method: head.method.to_string(), path: path.clone(), headers, body });
            state.fault.clone()
        };
        let is_token = path == "/latest/api/token";
        match &fault {
            Some(Fault::Slow(delay)) => tokio::time::sleep(*delay).await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::HangTokens) if is_token => std::future::pending().await,
            _ => {}
        }
        match (head.method, is_token) {
            (Method::PUT, true) => self.mint(&head.headers, fault.as_ref()),
            (Method::GET, false) => self.get(&path, &head.headers, fault.as_ref()),
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn mint(&self, headers: &HeaderMap, fault: Option<&Fault>) -> Response<Full<Bytes>> {
        match fault {
            Some(Fault::NoTokens(code)) => return status(StatusCode::from_u16(*code).unwrap_or_default()),
            Some(Fault::TokenBody(body)) => return document("text/plain", body.clone()),
            _ => {}
        }
        let ttl = headers.get(TTL).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<u32>().ok());
        let Some(ttl) = ttl.filter(|ttl| (1..=MAX_TTL).contains(ttl)) else { return status(StatusCode::BAD_REQUEST) };
        if headers.contains_key("x-forwarded-for") {
            return status(StatusCode::FORBIDDEN);
        }
        let mut state = self.lock();
        state.minted += 1;
        let token = format!("AQAEAFakeTokenNumber{:034}==", state.minted);
        state.tokens.insert(token.clone());
        let mut response = document("text/plain", token);
        response.headers_mut().insert(TTL, HeaderValue::from(state.token_ttl.unwrap_or(ttl)));
        response
    }

    fn get(&self, path: &str, headers: &HeaderMap, fault: Option<&Fault>) -> Response<Full<Bytes>> {
        let state = self.lock();
        let token = headers.get(TOKEN).and_then(|token| token.to_str().ok());
        let is_known = token.is_some_and(|token| state.tokens.contains(token)) && fault != Some(&Fault::RejectTokens);
        let is_v1 = matches!(fault, Some(Fault::NoTokens(_))) && token.is_none();
        if !is_known && !is_v1 {
            return status(StatusCode::UNAUTHORIZED);
        }
        match fault {
            Some(Fault::Status(code)) => status(StatusCode::from_u16(*code).unwrap_or_default()),
            Some(Fault::Huge(length)) => document("text/plain", vec![b'x'; *length]),
            Some(Fault::Redirect(location)) => {
                let mut response = status(StatusCode::FOUND);
                if let Ok(location) = HeaderValue::from_str(location) {
                    response.headers_mut().insert(LOCATION, location);
                }
                response
            }
            _ => match path.strip_prefix("/latest/").and_then(|path| state.documents.get(path)) {
                Some((content_type, body)) => document(content_type, body.clone()),
                None => status(StatusCode::NOT_FOUND),
            },
        }
    }
}
