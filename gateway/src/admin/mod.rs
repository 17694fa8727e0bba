//! The admin listener: status page, health, metrics, state. Pods cannot reach it by default, and it never shows a secret.

mod client;
mod listen;
mod observe;
mod page;
mod state;

pub use client::{AskError, ask, exchange};
pub use listen::AdminListener;

use std::{convert::Infallible, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS},
    uri::Authority,
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use maud::Markup;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use self::page::{ExplainForm, Filter, Masthead};
use crate::{
    config::{Config, CredentialsSource, RosterSource},
    credential::{KeeperHandle, KeyState},
    explain::{CacheEntry, Explanation, Question},
    handle::Gateway,
    lifecycle::{Part, Readiness},
    policy::Grant,
    roster::Entry,
};

/// The parts of the gateway that the admin listener shows.
pub struct Admin {
    gateway: Arc<Gateway>,
    keeper: Arc<KeeperHandle>,
    readiness: Readiness,
    settings: AdminSettings,
    started_at: SystemTime,
}

/// The configuration that the status page shows.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    pub node: String,
    /// May be empty.
    pub cluster: String,
    /// Where workloads come from: `kubernetes` or `fixed`.
    pub roster: &'static str,
    /// Where credentials come from: `sts` or `sandbox`.
    pub source: &'static str,
}

impl From<&Config> for AdminSettings {
    fn from(config: &Config) -> Self {
        Self {
            node: config.roster.node.clone(),
            cluster: config.telemetry.cluster.clone(),
            roster: match config.roster.source {
                RosterSource::Kubernetes => "kubernetes",
                RosterSource::Fixed { .. } | RosterSource::Sandbox => "fixed",
            },
            source: match config.credentials.source {
                CredentialsSource::Sts => "sts",
                CredentialsSource::Sandbox => "sandbox",
            },
        }
    }
}

/// Serves until `stop`, which also drops requests in progress: no pod waits for them.
pub async fn run(admin: Arc<Admin>, listener: AdminListener, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            stream = listener.accept() => {
                let (admin, stop) = (Arc::clone(&admin), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = serve(admin, stream) => {}
                    }
                });
            }
        }
    }
}

async fn serve(admin: Arc<Admin>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let answer = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(admin.answer(&request).await) }
    });
    // A client that disconnects is not an error.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
}

impl Admin {
    pub fn new(
        gateway: Arc<Gateway>,
        keeper: Arc<KeeperHandle>,
        readiness: Readiness,
        settings: AdminSettings,
    ) -> Self {
        let started_at = gateway.clock.now();
        Self { gateway, keeper, readiness, settings, started_at }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_local(request) {
            return text(StatusCode::FORBIDDEN, "host is not a name of this service\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
        }
        let query = request.uri().query().unwrap_or_default();
        match request.uri().path() {
            "/" => html(StatusCode::OK, page::status(&self.state().await, &Filter::parse(query))),
            "/explain" => self.explain_page(&ExplainForm::parse(query)).await,
            "/status.css" => asset("text/css; charset=utf-8", page::STYLE),
            "/status.js" => asset("text/javascript; charset=utf-8", page::SCRIPT),
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(),
            "/api/v1/state" => json(StatusCode::OK, &self.state().await),
            "/api/v1/explain" => self.explain(query).await,
            _ => text(StatusCode::NOT_FOUND, "no such page; see /\n"),
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        match self.readiness.waits_for().as_slice() {
            // The configuration before the refused one serves on.
            [] => match &self.gateway.configuration.current().refused {
                None => text(StatusCode::OK, "ok\n"),
                Some(refused) => {
                    text(StatusCode::OK, format!("ok\nthe last reload was refused: {}\n", refused.sentence()))
                }
            },
            waits_for => text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", labels(waits_for))),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match self.gateway.telemetry.metrics().text() {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, format);
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    /// `?pod=NAMESPACE/NAME[&role=ROLE|&path=PATH]`
    async fn explain(&self, query: &str) -> Response<Full<Bytes>> {
        let query: ExplainQuery = match serde_urlencoded::from_str(query) {
            Ok(query) => query,
            Err(error) => {
                return text(
                    StatusCode::BAD_REQUEST,
                    format!("{error}; use ?pod=NAMESPACE/NAME[&role=ROLE][&path=PATH]\n"),
                );
            }
        };
        let Some((namespace, pod)) = query.pod.split_once('/') else {
            return text(StatusCode::BAD_REQUEST, "pod is NAMESPACE/NAME\n");
        };
        let Some(entry) = self.gateway.feed.current().named(namespace, pod).cloned() else {
            return text(StatusCode::NOT_FOUND, format!("no pod {} on this node\n", query.pod));
        };
        let question = Question { role: query.role.as_deref(), path: query.path.as_deref() };
        json(StatusCode::OK, &self.explanation(&entry, question).await)
    }

    /// The same as an HTML page.
    async fn explain_page(&self, form: &ExplainForm) -> Response<Full<Bytes>> {
        let masthead = self.masthead();
        let named = form.pod().and_then(|(namespace, pod)| self.gateway.feed.current().named(namespace, pod).cloned());
        let Some(entry) = named else {
            return html(StatusCode::NOT_FOUND, page::no_such_pod(&masthead, form));
        };
        let question = Question { role: form.role.as_deref(), path: form.path.as_deref() };
        let explanation = self.explanation(&entry, question).await;
        html(StatusCode::OK, page::explain(&masthead, form, &explanation))
    }

    fn masthead(&self) -> Masthead<'_> {
        Masthead {
            version: env!("CARGO_PKG_VERSION"),
            node: &self.settings.node,
            cluster: &self.settings.cluster,
            started_at: self.started_at,
            now: self.gateway.clock.now(),
        }
    }

    async fn explanation(&self, entry: &Entry, question: Question<'_>) -> Explanation {
        let (gateway, keys) = (&self.gateway, self.keeper.state().await);
        let cached = |grant: &Grant| {
            let is_its = |state: &&KeyState| state.key == *grant.key();
            CacheEntry { held: gateway.credentials.peek(grant), key: keys.iter().find(is_its).cloned() }
        };
        Explanation::of(&gateway.policy, &gateway.allow, entry.principal(), question, cached, gateway.clock.now()).await
    }
}

fn labels(parts: &[Part]) -> String {
    parts.iter().map(|part| part.label()).collect::<Vec<_>>().join(", ")
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    pod: String,
    role: Option<String>,
    path: Option<String>,
}

/// A page of a foreign origin can make a browser send requests here, but cannot make it name this host (DNS rebinding). A
/// client on a Unix socket may send no Host.
fn is_local(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(HOST) else { return true };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn html(status: StatusCode, page: Markup) -> Response<Full<Bytes>> {
    let mut response = text(status, page.into_string());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY_POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn asset(kind: &'static str, text_of: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, text_of);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec_pretty(body) {
        Ok(body) => {
            let mut response = text(status, body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
