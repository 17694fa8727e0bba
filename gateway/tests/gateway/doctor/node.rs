//! This node, as the API server knows it.

use metagate_testkit::Setup;
use serde_json::{Value, json};

use super::server::{Reply, Server};
use super::{
    Verdict::{Fail, Pass, Skip, Warn},
    cluster::{examined, failure, node, version},
    *,
};

const KEY: &str = "metagate.io/agent-not-ready";

/// Answers a read of the node, and a list of its pods.
async fn api_server(get: impl Fn() -> Reply + Send + Sync + 'static, pods: Option<usize>) -> Server {
    Server::start(move |ask| match ask.path.as_str() {
        "/version" => Reply::Answer(200, version()),
        "/api/v1/nodes/n1" => get(),
        path if path.starts_with("/api/v1/pods?") => match pods {
            Some(count) if path.contains("fieldSelector=spec.nodeName%3Dn1") => Reply::Answer(200, list(count)),
            _ => failure(403),
        },
        _ => failure(404),
    })
    .await
}

fn list(pods: usize) -> String {
    let items: Vec<Value> = (0..pods)
        .map(|pod| {
            json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                           "metadata": { "name": format!("p{pod}"), "namespace": "n" } })
        })
        .collect();
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items })
        .to_string()
}

#[tokio::test]
async fn a_node_is_known_by_itself_or_by_its_pods() {
    let there = || Reply::Answer(200, node(&json!([])));
    let folder = tempfile::tempdir().unwrap();
    for (server, verdict, part) in [
        (api_server(there, None).await, Pass, "n1 is a node of the cluster"),
        (api_server(|| failure(404), None).await, Fail, "spec.nodeName"),
        // Without the right to read nodes.
        (api_server(|| failure(403), Some(1)).await, Pass, "pods run on n1"),
        (api_server(|| failure(403), Some(0)).await, Fail, "no pod runs on a node n1"),
        (api_server(|| failure(403), None).await, Skip, "no right to get nodes or list pods"),
    ] {
        examined(&folder, &server.endpoint, &[]).await.expect("node", verdict, part);
    }
    let server = api_server(there, None).await;
    let report = examined(&folder, &server.endpoint, &[("roster.node", "")]).await;
    report.expect("node", Fail, "NODE_NAME");
}

#[tokio::test]
async fn a_startup_taint_that_stays_is_a_warning_and_says_what_keeps_it() {
    let taints = json!([{ "key": KEY, "effect": "NoSchedule" }]);
    let tainted = api_server(move || Reply::Answer(200, node(&taints)), None).await;
    let others = json!([{ "key": "another", "effect": "NoSchedule" }]);
    let free = api_server(move || Reply::Answer(200, node(&others)), None).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = [("kubernetes.startup_taint", KEY)];

    examined(&folder, &tainted.endpoint, &[]).await.expect("startup-taint", Skip, "no kubernetes.startup_taint");
    examined(&folder, &free.endpoint, &keys).await.expect("startup-taint", Pass, "is not on this node");
    examined(&folder, &tainted.endpoint, &keys).await.expect("startup-taint", Warn, "The check `gateway` says why");
    let gateway = Setup::default().set("admin.listen", &admin(&folder)).start().await.unwrap();
    examined(&folder, &tainted.endpoint, &keys).await.expect("startup-taint", Warn, "though the gateway is ready");
    gateway.stop().await;
    std::fs::remove_file(folder.path().join("admin.sock")).unwrap();
    let feed = std::sync::Arc::default();
    let _waiting = Setup::default().feed(&feed).set("admin.listen", &admin(&folder)).start().await.unwrap();
    examined(&folder, &tainted.endpoint, &keys).await.expect("startup-taint", Warn, "until the gateway is ready");
}
