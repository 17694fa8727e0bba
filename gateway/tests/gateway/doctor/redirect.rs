//! The status file of the redirect's watcher. A fixed roster is no cluster, so these configurations name one.

use std::{fs, time::SystemTime};

use serde_json::{Value, json};

use super::server::{Reply, Server, dead_endpoint};
use super::{
    Verdict::{Fail, Pass, Skip, Warn},
    *,
};

fn status(age: u64, changed: Value) -> String {
    let checked_at = humantime::format_rfc3339_seconds(SystemTime::now() - Duration::from_secs(age)).to_string();
    let mut status = json!({ "present": true, "checked_at": checked_at, "redirected_connections": 7,
                             "rejected_packets": 0, "foreign_rules": [], "error": null });
    status.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    status.to_string()
}

async fn judged(status: Option<&str>) -> Report {
    judged_in(tempfile::tempdir().unwrap(), status).await
}

async fn judged_in(folder: TempDir, status: Option<&str>) -> Report {
    if let Some(status) = status {
        fs::write(folder.path().join("status.json"), status).unwrap();
    }
    let kubeconfig = super::cluster::kubeconfig(&folder, &dead_endpoint().await);
    let keys = [("roster.source", "kubernetes"), ("roster.node", "n1"), ("kubernetes.kubeconfig", kubeconfig.as_str())];
    examine(&folder, &keys).await
}

#[tokio::test]
async fn each_state_of_the_redirect_has_its_verdict() {
    for (written, verdict, part) in [
        (None, Skip, "metagate intercept verify"),
        (Some(status(10, json!({}))), Pass, "in place, 7 connections"),
        (Some(status(10, json!({ "present": false }))), Fail, "not in place"),
        (Some(status(10, json!({ "present": false, "error": "nft is not there" }))), Fail, "nft is not there"),
        (Some(status(600, json!({}))), Warn, "nobody has looked at it since"),
        (Some(status(10, json!({ "checked_at": "yesterday" }))), Warn, "nobody has looked at it since yesterday"),
        (Some(status(10, json!({ "redirected_connections": 0 }))), Warn, "host.interface"),
        (Some("{".to_owned()), Warn, "is not what a watcher of this version writes"),
    ] {
        judged(written.as_deref()).await.expect("redirect", verdict, part);
    }
}

/// The watcher counts every 30 s, so a pod may have asked since. On a node where the redirect names the wrong interfaces, no pod's
/// request arrives.
#[tokio::test]
async fn no_connection_counted_yet_is_a_warning_only_if_no_pod_has_asked_since() {
    for (intervals, verdict, part) in [
        (&[(5, 3)][..], Pass, "pods have asked since"),
        (&[(5, 0)], Warn, "host.interface"),
        // These came while the counter stayed at 0: by another way than the redirect.
        (&[(60, 3)], Warn, "host.interface"),
        (&[(60, 3), (5, 3)], Warn, "host.interface"),
        (&[(60, 0), (5, 3)], Pass, "pods have asked since"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let interval = |(ago, requests): &(u64, u64)| {
            let at = SystemTime::now() - Duration::from_secs(*ago);
            json!({ "at": humantime::format_rfc3339_seconds(at).to_string(), "seconds": 2, "requests": requests })
        };
        let traffic: Vec<_> = intervals.iter().map(interval).collect();
        let state = json!({ "traffic": traffic }).to_string();
        let _admin = Server::on_socket(&folder.path().join("admin.sock"), move |_| Reply::Answer(200, state.clone()));
        let counted = status(10, json!({ "redirected_connections": 0 }));
        judged_in(folder, Some(&counted)).await.expect("redirect", verdict, part);
    }
}

#[tokio::test]
async fn a_peers_rule_is_named_with_the_command_that_removes_it() {
    let remove = "nft delete rule ip nat PREROUTING handle 7";
    let peer = json!({ "foreign_rules": [{ "chain": "ip nat PREROUTING", "rule": "…", "owner": "kube2iam or kiam",
                                           "goes_first": true, "remove": remove }] });
    let report = judged(Some(&status(10, peer))).await;
    report.expect("redirect", Pass, "in place");
    report.expect("redirect-others", Warn, "kube2iam or kiam in ip nat PREROUTING; it goes before ours");
    report.expect("redirect-others", Warn, remove);
    judged(Some(&status(10, json!({})))).await.expect("redirect-others", Pass, "nobody else");
    judged(None).await.expect("redirect-others", Skip, "not known");
}

#[tokio::test]
async fn a_redirect_is_judged_even_where_the_configuration_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("status.json"), status(10, json!({ "present": false }))).unwrap();
    let wrong = Some(("metagate.toml".into(), "[imds]\ntoken = \"maybe\"\n".to_owned()));
    let faults = load(&Sources { file: wrong, env: Vec::new(), overrides: Vec::new() }).unwrap_err();
    let report = Report(doctor(&folder).examine(Err(faults)).await);
    report.expect("configuration", Fail, "metagate.toml:2:9: imds.token");
    report.expect("redirect", Fail, "not in place");
    assert_eq!(report.0.len(), 3);
}
