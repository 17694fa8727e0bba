//! A check that hangs costs the other checks nothing.

use std::fs;

use metagate_testkit::{FakeImds, imds::Fault};

use super::server::{Reply, Server};
use super::{
    Verdict::{Fail, Pass},
    *,
};

#[tokio::test]
async fn a_node_where_everything_hangs_is_reported_whole_and_soon() {
    let folder = tempfile::tempdir().unwrap();
    let _admin = Server::on_socket(&folder.path().join("admin.sock"), |_| Reply::Silence);
    let cluster = Server::start(|_| Reply::Silence).await;
    let sts = Server::start(|_| Reply::Silence).await;
    let node = FakeImds::start().await.unwrap();
    node.set_fault(Fault::Hang);
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
    let status = serde_json::json!({ "present": true, "checked_at": now.to_string(), "redirected_connections": 1,
                                     "rejected_packets": 0, "foreign_rules": [], "error": null });
    fs::write(folder.path().join("status.json"), status.to_string()).unwrap();
    let (kubeconfig, imds) = (super::cluster::kubeconfig(&folder, &cluster.endpoint), node.endpoint());
    let config = config(
        &folder,
        &[
            ("roster.source", "kubernetes"),
            ("roster.node", "n1"),
            ("kubernetes.kubeconfig", &kubeconfig),
            ("imds.endpoint", &imds),
            ("credentials.source", "sts"),
            ("credentials.identity", "imds"),
            ("credentials.sts_endpoint", &sts.endpoint),
        ],
    );
    let doctor = Doctor { patience: Duration::from_secs(1), ..doctor(&folder) };
    let report = tokio::time::timeout(Duration::from_secs(60), doctor.examine(Ok(config))).await;
    let report = Report(report.expect("the report ends when its checks end"));
    report.expect("gateway", Fail, "gives no answer within 500ms");
    report.expect("api-server", Fail, "gives no answer within 500ms");
    for group in ["node-imds", "sts"] {
        report.expect(group, Fail, "has not ended within 1s");
    }
    report.expect("redirect", Pass, "in place, 1 connections");
}

#[tokio::test]
async fn reviews_that_hang_are_reported_for_each_right() {
    let server = Server::start(|ask| match ask.path.as_str() {
        "/version" => Reply::Answer(200, super::cluster::version()),
        _ => Reply::Silence,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = super::cluster::kubeconfig(&folder, &server.endpoint);
    let keys = [("roster.source", "kubernetes"), ("roster.node", "n1"), ("kubernetes.kubeconfig", kubeconfig.as_str())];
    let doctor = Doctor { patience: Duration::from_secs(6), ..doctor(&folder) };
    let report = Report(doctor.examine(Ok(config(&folder, &keys))).await);
    report.expect("api-server", Pass, "answers");
    report.expect("right-pods", Fail, "no answer within 3s to whether it may list, watch pods");
}
