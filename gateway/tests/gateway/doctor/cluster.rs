//! The API server: whether it answers, and what it lets the gateway do.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use serde_json::{Value, json};

use super::server::{Ask, Reply, Server, dead_endpoint};
use super::{
    Verdict::{Fail, Pass, Skip, Warn},
    *,
};

/// A kubeconfig file for that address.
pub(crate) fn kubeconfig(folder: &TempDir, endpoint: &str) -> String {
    let path = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": endpoint } }],
        "users": [{ "name": "u", "user": { "token": "secret-token" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    fs::write(&path, text.to_string()).unwrap();
    path.display().to_string()
}

/// The report of a gateway of this cluster, with these keys changed.
pub(crate) async fn examined(folder: &TempDir, endpoint: &str, changed: &[(&str, &str)]) -> Report {
    let kubeconfig = kubeconfig(folder, endpoint);
    let of_cluster = [("roster.source", "kubernetes"), ("roster.node", "n1"), ("kubernetes.kubeconfig", &kubeconfig)];
    examine(folder, &[&of_cluster, changed].concat()).await
}

/// The answer to an access review; `allowed` decides by its verb and resource, such as `create serviceaccounts/token`.
pub(crate) fn reviewed(ask: &Ask, allowed: impl Fn(&str) -> bool) -> Option<Reply> {
    if !ask.path.starts_with("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") {
        return None;
    }
    let mut review: Value = serde_json::from_str(&ask.body).unwrap();
    let asked = &review["spec"]["resourceAttributes"];
    let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
    let what = [text("group"), text("resource"), text("subresource")];
    let what: Vec<_> = what.into_iter().filter(|part| !part.is_empty()).collect();
    let asked = format!("{} {}", text("verb"), what.join("/"));
    review["status"] = json!({ "allowed": allowed(&asked) });
    Some(Reply::Answer(201, review.to_string()))
}

pub(crate) fn version() -> String {
    json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.1", "gitCommit": "", "gitTreeState": "", "buildDate": "",
            "goVersion": "", "compiler": "", "platform": "" })
    .to_string()
}

pub(crate) fn node(taints: &Value) -> String {
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" }, "spec": { "taints": taints } })
        .to_string()
}

pub(crate) fn failure(code: u16) -> Reply {
    let status = json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "no", "reason": "No",
                         "code": code });
    Reply::Answer(code, status.to_string())
}

/// An API server that permits what `allowed` permits.
async fn api_server(allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    Server::start(move |ask| match ask.path.as_str() {
        "/version" => Reply::Answer(200, version()),
        "/api/v1/nodes/n1" => Reply::Answer(200, node(&json!([]))),
        _ => reviewed(ask, &allowed).unwrap_or_else(|| failure(404)),
    })
    .await
}

const TAINT: (&str, &str) = ("kubernetes.startup_taint", "metagate.io/agent-not-ready");

#[tokio::test]
async fn all_rights_pass_and_exactly_these_are_asked_for() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = api_server(move |right| {
        seen.lock().unwrap().push(right.to_owned());
        true
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let report = examined(&folder, &server.endpoint, &[TAINT]).await;
    report.expect("api-server", Pass, "answers as v1.33.1");
    report.expect("api-clock", Pass, "agrees");
    report.expect("right-pods", Pass, "may list, watch pods");
    report.expect("right-namespaces", Pass, "may list, watch namespaces");
    report.expect("right-serviceaccounts", Pass, "may list, watch serviceaccounts");
    report.expect("right-events", Pass, "may create, patch events");
    report.expect("right-tokens", Pass, "may create serviceaccounts/token");
    report.expect("right-nodes", Pass, "may get, patch nodes");
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(
        asked,
        [
            "create events.k8s.io/events",
            "create serviceaccounts/token",
            "get nodes",
            "list namespaces",
            "list pods",
            "list serviceaccounts",
            "patch events.k8s.io/events",
            "patch nodes",
            "watch namespaces",
            "watch pods",
            "watch serviceaccounts",
        ]
    );
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_with_its_cure() {
    for (denied, check, verdict, found, cure) in [
        ("list pods", "right-pods", Fail, "may not list pods", "rbac.create"),
        ("watch pods", "right-pods", Fail, "may not watch pods", "rbac.create"),
        ("watch namespaces", "right-namespaces", Fail, "may not watch namespaces", "rbac.create"),
        ("list serviceaccounts", "right-serviceaccounts", Fail, "may not list serviceaccounts", "rbac.create"),
        ("create events.k8s.io/events", "right-events", Warn, "may not create events", "kubernetes.events"),
        ("patch events.k8s.io/events", "right-events", Warn, "may not patch events", "kubernetes.events"),
        ("create serviceaccounts/token", "right-tokens", Warn, "may not create serviceaccounts/token", "irsa.enabled"),
        ("get nodes", "right-nodes", Fail, "may not get nodes", "kubernetes.startupTaint"),
        ("patch nodes", "right-nodes", Fail, "may not patch nodes", "kubernetes.startupTaint"),
    ] {
        let server = api_server(move |right| right != denied).await;
        let folder = tempfile::tempdir().unwrap();
        let report = examined(&folder, &server.endpoint, &[TAINT]).await;
        report.expect(check, verdict, found);
        report.expect(check, verdict, cure);
        let others = report.0.iter().filter(|finding| finding.check.starts_with("right-") && finding.check != check);
        assert!(others.clone().all(|finding| finding.verdict == Pass) && others.count() == 5, "{denied}: {report:#?}");
    }
}

#[tokio::test]
async fn rights_that_the_configuration_has_no_use_for_are_not_asked_for() {
    let server =
        api_server(|right| !right.contains("nodes") && !right.contains("event") && !right.contains("token")).await;
    let folder = tempfile::tempdir().unwrap();
    let plugin = r#"[{ name = "annotations", builtin = "annotations" }]"#;
    let report = examined(&folder, &server.endpoint, &[("kubernetes.events", "false"), ("plugin", plugin)]).await;
    report.expect("right-events", Skip, "kubernetes.events is false");
    report.expect("right-tokens", Skip, "no irsa-fallback plugin");
    report.expect("right-nodes", Skip, "no kubernetes.startup_taint");
    report.expect("right-pods", Pass, "may list, watch");
}

#[tokio::test]
async fn an_unreachable_or_failing_api_server_is_one_line_with_its_cure() {
    let failing = |code| Server::start(move |_| failure(code));
    let (unknown, ailing) = (failing(401).await, failing(500).await);
    for (endpoint, part) in [
        (dead_endpoint().await, "cannot be reached: client error (Connect): tcp connect error: Connection refused"),
        (unknown.endpoint.clone(), "does not accept the gateway's token (401)"),
        (ailing.endpoint.clone(), "answers with status 500"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let report = examined(&folder, &endpoint, &[TAINT]).await;
        report.expect("api-server", Fail, part);
        for check in CHECKS.iter().filter(|check| check.starts_with("right-") || **check == "node") {
            report.expect(check, Skip, "no API server");
        }
        assert!(!format!("{report:?}").contains("secret-token"));
    }
}

#[tokio::test]
async fn a_review_that_fails_is_not_taken_for_a_right() {
    let server = Server::start(|ask| match ask.path.as_str() {
        "/version" => Reply::Answer(200, version()),
        _ => failure(500),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let report = examined(&folder, &server.endpoint, &[]).await;
    report.expect("api-server", Pass, "answers");
    report.expect("right-pods", Fail, "does not say whether it may list pods");
}

#[tokio::test]
async fn the_size_of_a_clock_difference_to_the_api_server_is_reported() {
    for (off, verdict, part) in [(10, Pass, "agrees"), (120, Warn, "behind"), (3600, Fail, "behind the API server's")] {
        let server = Server::start(move |ask| match ask.path.as_str() {
            "/version" => Reply::Dated(SystemTime::now() + Duration::from_secs(off), version()),
            _ => failure(404),
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        examined(&folder, &server.endpoint, &[]).await.expect("api-clock", verdict, part);
    }
}

#[tokio::test]
async fn no_kubeconfig_and_no_pod_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere").display().to_string();
    let keys = [("roster.source", "kubernetes"), ("roster.node", "n1"), ("kubernetes.kubeconfig", nowhere.as_str())];
    let report = examine(&folder, &keys).await;
    report.expect("configuration", Fail, "kubernetes.kubeconfig");
    report.expect("api-server", Fail, "kubernetes.kubeconfig");
    report.expect("right-pods", Skip, "no API server");
}
