//! The Kubernetes roster with an API server that works or fails: a fake with behaviour, a whole gateway, real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states what it expects by them"
)]

mod change;
mod event;
mod outage;
mod pods;
mod reload;
mod size;
mod sync;
mod watch;

use std::{net::IpAddr, sync::Arc, time::Duration};

use metagate::roster::{Entry, Feed, Standing};
use metagate_testkit::{ApiServer, FakeSource, Reply, Setup, TestGateway, api_server::Kind};
use serde_json::{Value, json};
use tempfile::TempDir;

const NODE: &str = "node-a";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
/// Ends a test that waits for something that never comes.
const DEADLINE: Duration = Duration::from_secs(60);

/// A gateway and the API server that it watches.
struct Lab {
    api: ApiServer,
    gateway: TestGateway,
    source: Arc<FakeSource>,
    _folder: TempDir,
}

impl Lab {
    async fn start(api: ApiServer) -> Self {
        Self::with(api, |setup| setup).await
    }

    async fn with(api: ApiServer, change: impl FnOnce(Setup) -> Setup) -> Self {
        let lab = Self::unsynced(api, change).await;
        lab.until("the first sync", |feed| feed.current().synced_at().is_some()).await;
        lab
    }

    async fn unsynced(api: ApiServer, change: impl FnOnce(Setup) -> Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = api.kubeconfig(folder.path()).unwrap();
        let source = Arc::new(FakeSource::default());
        let setup = Setup::default()
            .set("roster.source", "kubernetes")
            .set("roster.node", NODE)
            .set("kubernetes.kubeconfig", kubeconfig.to_str().unwrap())
            // The longest that may be set: a loaded machine answers late, and no test here is about that.
            .set("credentials.wait", "10s")
            .source(Arc::clone(&source) as _);
        let gateway = change(setup).start_unsynced().await.unwrap();
        Self { api, gateway, source, _folder: folder }
    }

    fn feed(&self) -> &Feed {
        &self.gateway.gateway().feed
    }

    /// Waits until it is so, and looks at each change of the roster.
    async fn until(&self, what: &str, is_so: impl Fn(&Feed) -> bool) {
        let mut changes = self.feed().changes();
        let look = async {
            while !is_so(self.feed()) {
                changes.changed().await.unwrap();
            }
        };
        assert!(tokio::time::timeout(DEADLINE, look).await.is_ok(), "not within {DEADLINE:?}: {what}");
    }

    /// Waits until it is so, and looks at each change of the API server.
    async fn until_api(&self, what: &str, is_so: impl Fn(&ApiServer) -> bool) {
        let mut changes = self.api.changes();
        let look = async {
            while !is_so(&self.api) {
                changes.changed().await.unwrap();
            }
        };
        assert!(tokio::time::timeout(DEADLINE, look).await.is_ok(), "not within {DEADLINE:?}: {what}");
    }

    fn at(&self, address: &str) -> Option<Arc<Entry>> {
        match self.feed().current().at(address.parse().unwrap()) {
            Standing::Known(entry) => Some(entry),
            Standing::Ambiguous | Standing::Unknown | Standing::Absent => None,
        }
    }

    async fn until_at(&self, address: &str, pod: Option<&str>) {
        let there = |feed: &Feed| match feed.current().at(address.parse().unwrap()) {
            Standing::Known(entry) => Some(entry.workload.pod.as_str()) == pod,
            Standing::Ambiguous | Standing::Unknown | Standing::Absent => pod.is_none(),
        };
        self.until(&format!("{address} is {pod:?}"), there).await;
    }

    async fn get(&self, from: &str, path: &str) -> Reply {
        ask(&self.gateway, from, path).await
    }

    /// The role's name, or the status of the refusal.
    async fn role(&self, from: &str) -> Result<String, u16> {
        let reply = self.get(from, ROLE).await;
        if reply.status == 200 { Ok(reply.text()) } else { Err(reply.status) }
    }

    async fn admin(&self, path: &str) -> Reply {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.gateway.admin().await.unwrap().ask(request).await.unwrap()
    }

    /// The roster's age in the metrics.
    async fn age(&self) -> f64 {
        let metrics = self.admin("/metrics").await.text();
        let age = metrics.lines().find_map(|line| line.strip_prefix("metagate_roster_age_seconds "));
        age.unwrap().parse().unwrap()
    }
}

async fn ask(gateway: &TestGateway, from: &str, path: &str) -> Reply {
    let mut client = gateway.connect(from.parse::<IpAddr>().unwrap()).await.unwrap();
    client.ask(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address())).await.unwrap()
}

/// A running pod of namespace `payments`, on this node, with this address and the role annotation.
fn pod(name: &str, ip: &str, role: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "payments", "name": name, "uid": format!("uid-of-{name}"),
            "annotations": { "iam.amazonaws.com/role": role },
        },
        "spec": { "nodeName": NODE, "serviceAccountName": "default", "containers": [{ "name": "c", "image": "i" }] },
        "status": { "phase": "Running", "hostIP": "10.1.0.1", "podIP": ip, "podIPs": [{ "ip": ip }] },
    })
}

fn namespace(name: &str, permitted: &str) -> Value {
    let annotations = json!({ "iam.amazonaws.com/permitted": permitted });
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "uid": name, "annotations": annotations } })
}

fn account(namespace: &str, name: &str, annotations: Value) -> Value {
    let metadata = json!({ "namespace": namespace, "name": name, "uid": name, "annotations": annotations });
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata })
}

/// An API server with namespace `payments`, its default service account, and these pods.
async fn api(pods: &[Value]) -> ApiServer {
    let api = ApiServer::start().await.unwrap();
    api.put(Kind::Namespaces, namespace("payments", ".*:role/payments-.*"));
    api.put(Kind::ServiceAccounts, account("payments", "default", json!({})));
    for pod in pods {
        api.put(Kind::Pods, pod.clone());
    }
    api
}
