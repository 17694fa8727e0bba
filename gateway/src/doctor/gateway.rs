//! The running gateway, as its admin listener shows it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Finding, credentials, roster};
use crate::{
    admin,
    clock::Clock,
    config::{AdminListen, Config, TokenMode},
    lifecycle::Part,
    remedy::{self, Remedy},
};

const GATEWAY: &str = "gateway";
const READINESS: &str = "readiness";
const V1: &str = "imds-v1";
/// The checks that need a gateway to look at.
const OF_GATEWAY: [&str; 4] = [READINESS, "roster", "credentials", V1];

/// The fields of `/api/v1/state` that are read here.
#[derive(Deserialize)]
pub(super) struct State {
    version: String,
    waits_for: Vec<String>,
    pub(super) roster: Roster,
    pub(super) workloads: Vec<Workload>,
    pub(super) credentials: Vec<Key>,
}

#[derive(Deserialize)]
pub(super) struct Roster {
    pub(super) synced_at: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Workload {}

#[derive(Deserialize)]
pub(super) struct Key {
    pub(super) role_arn: String,
    pub(super) wanted: bool,
    pub(super) expires: Option<String>,
    pub(super) last_error: Option<String>,
    /// A gateway of an older version does not tell it.
    pub(super) remedy: Option<Remedy>,
}

/// The field of `/api/v1/state` that the check of the redirect reads.
#[derive(Deserialize)]
struct Traffic {
    traffic: Vec<Interval>,
}

#[derive(Deserialize)]
struct Interval {
    at: String,
    seconds: u64,
    requests: u64,
}

pub(super) async fn look(config: Arc<Config>, patience: Duration, clock: Clock) -> Vec<Finding> {
    let listen = &config.admin.listen;
    let (state, metrics) = tokio::join!(page(listen, "/api/v1/state", patience), page(listen, "/metrics", patience));
    let state = state.and_then(|answer| {
        serde_json::from_slice::<State>(answer.body())
            .map_err(|error| format!("what answers is not a gateway: {error}"))
    });
    let state = match state {
        Ok(state) => state,
        Err(found) => return absent(found),
    };
    let metrics = metrics.map(|answer| String::from_utf8_lossy(answer.body()).into_owned());
    let metrics = Metrics(metrics.unwrap_or_default());
    vec![
        version(&state, listen),
        readiness(&state),
        roster::judge(&state, &metrics),
        credentials::judge(&state, config.credentials.min_remaining, clock.now()),
        v1(&metrics, config.imds.token),
    ]
}

/// Whether the gateway is ready. None: no gateway answers.
pub(super) async fn is_ready(listen: &AdminListen, patience: Duration) -> Option<bool> {
    timeout(patience, admin::ask(listen, "/readyz")).await.ok()?.ok().map(|answer| answer.status() == StatusCode::OK)
}

/// Whether pods have sent it their first requests since then. No, if no gateway answers.
pub(super) async fn was_first_asked_since(listen: &AdminListen, patience: Duration, moment: SystemTime) -> bool {
    let Ok(answer) = page(listen, "/api/v1/state", patience).await else { return false };
    let Ok(state) = serde_json::from_slice::<Traffic>(answer.body()) else { return false };
    let is_since = |interval: &Interval| {
        let begun = humantime::parse_rfc3339(&interval.at);
        // Both are whole seconds, rounded down.
        let ended = begun.map(|at| at + Duration::from_secs(interval.seconds.saturating_add(2)));
        ended.is_ok_and(|ended| ended > moment)
    };
    let mut asked = state.traffic.iter().filter(|interval| interval.requests > 0).peekable();
    asked.peek().is_some() && asked.all(is_since)
}

async fn page(listen: &AdminListen, path: &str, patience: Duration) -> Result<Response<Bytes>, String> {
    let late = |_| format!("admin.listen gives no answer within {patience:?}");
    let answer = timeout(patience, admin::ask(listen, path)).await.map_err(late)?.map_err(|error| error.to_string())?;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        status => Err(format!("admin.listen answers {path} with status {status}")),
    }
}

fn absent(found: String) -> Vec<Finding> {
    let cure = "Run this where admin.listen can be reached: kubectl exec ds/metagate -c gateway -- metagate doctor. If \
                it was, see why the gateway is not up: kubectl logs ds/metagate -c gateway --previous";
    let skipped = OF_GATEWAY.map(|check| Finding::skip(check, "no gateway"));
    std::iter::once(Finding::fail(GATEWAY, found, cure)).chain(skipped).collect()
}

fn version(state: &State, listen: &AdminListen) -> Finding {
    let (theirs, ours) = (&state.version, env!("CARGO_PKG_VERSION"));
    let at = match listen {
        AdminListen::Tcp(address) => address.to_string(),
        AdminListen::Unix(path) => format!("unix:{}", path.display()),
    };
    if theirs == ours {
        return Finding::pass(GATEWAY, format!("version {theirs} answers at {at}"));
    }
    let found = format!("version {theirs} answers at {at}, and this doctor is of version {ours}");
    Finding::warn(
        GATEWAY,
        found,
        "Run the doctor of the gateway's version, or restart the pod that an upgrade left over.",
    )
}

fn readiness(state: &State) -> Finding {
    if state.waits_for.is_empty() {
        return Finding::pass(READINESS, "ready");
    }
    let cure = state.waits_for.iter().map(|part| match part.parse::<Part>() {
        Ok(part) => remedy::of_unready(part).say,
        Err(unknown) => format!("See the gateway's log: {unknown}."),
    });
    let cure = cure.collect::<Vec<_>>().join(" ");
    Finding::fail(READINESS, format!("not ready; waits for: {}", state.waits_for.join(", ")), cure)
}

fn v1(metrics: &Metrics, token: TokenMode) -> Finding {
    let count = metrics.sample("metagate_imds_v1_requests_total").unwrap_or_default();
    match (count > 0.0, token) {
        (false, TokenMode::Optional) => Finding::pass(
            V1,
            "no request came without a session token since the gateway started; imds.token could be \"required\"",
        ),
        (false, TokenMode::Required) => Finding::pass(V1, "no request came without a session token"),
        (true, mode) => {
            let refused = if mode == TokenMode::Required { ", and were refused" } else { "" };
            let cure = "The log names the pods (lines of metagate::imds). Give them an SDK that speaks IMDSv2 before \
                        imds.token = \"required\" refuses them.";
            Finding::warn(V1, format!("{count} requests came without a session token (IMDSv1){refused}"), cure)
        }
    }
}

/// Prometheus text.
pub(super) struct Metrics(String);

impl Metrics {
    /// The value of a series without labels.
    pub(super) fn sample(&self, name: &str) -> Option<f64> {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
        self.0.lines().find_map(value)
    }
}
