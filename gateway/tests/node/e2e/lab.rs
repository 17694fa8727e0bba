//! A node of a cluster, with everything on it but the pods and the gateway.

use serde_json::json;

use super::{
    api::Api,
    cluster::Cluster,
    gateway::{Gateway, STARTUP_TAINT},
    manifests,
    node::Node,
    pod::{Cni, Inside, NODE, Pod},
    programs::Programs,
};

pub(crate) const PERMITTED: &str = "iam.amazonaws.com/permitted";
pub(crate) const PAYMENTS: &str = "arn:aws:iam::123456789012:role/payments-.*";
pub(crate) const GUESTS: &str = "arn:aws:iam::123456789012:role/guests-.*";

pub(crate) struct Lab {
    pub(crate) programs: Programs,
    pub(crate) cluster: Cluster,
    pub(crate) node: Node,
}

impl Lab {
    /// None, with a message, if its programs are not installed. It has the namespaces `payments` and `guests`, which
    /// permit the roles that begin with their names.
    pub(crate) async fn start() -> Option<Self> {
        let programs = Programs::installed()?;
        let node = Node::start(&programs).await;
        let cluster = Cluster::start(&programs, &node.namespace).await;
        let lab = Self { programs, cluster, node };
        lab.api().create_namespace("payments", json!({ PERMITTED: PAYMENTS })).await;
        lab.api().create_namespace("guests", json!({ PERMITTED: GUESTS })).await;
        lab.create_node_named(NODE).await;
        Some(lab)
    }

    pub(crate) fn api(&self) -> Api {
        self.cluster.api()
    }

    /// Kills it at once, as when a machine fails.
    pub(crate) fn kill_api_server(&self) {
        self.cluster.kill_server();
    }

    pub(crate) async fn start_api_server(&self) {
        self.cluster.start_server(&self.node.namespace).await;
    }

    /// As if the node were cut off meanwhile: `change` happens, and etcd forgets the revisions in between.
    pub(crate) async fn miss_and_compact(&self, change: impl AsyncFnOnce()) {
        self.kill_api_server();
        self.cluster.start_server_aside(&self.node.namespace).await;
        change().await;
        self.cluster.compact_etcd(&self.node.namespace).await;
        self.kill_api_server();
        self.start_api_server().await;
    }

    /// Creates the node as a kubelet registers it that was configured with the startup taint.
    pub(crate) async fn create_node_named(&self, name: &str) {
        let taints = json!([{ "key": STARTUP_TAINT, "effect": "NoSchedule" }]);
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": name },
            "spec": { "taints": taints },
        });
        self.api().post("/api/v1/nodes", node).await;
    }

    /// A running pod: its object, and its network.
    pub(crate) async fn run(&self, pod: &Pod, cni: Cni) -> Inside<'_> {
        let inside = self.connect(pod, cni);
        pod.create(&self.api()).await;
        inside
    }

    /// Only its network.
    pub(crate) fn connect(&self, pod: &Pod, cni: Cni) -> Inside<'_> {
        Inside::new(pod, cni, &self.node.namespace, &self.programs)
    }

    /// A ready gateway with exactly the rights of deploy/, and the redirect.
    pub(crate) async fn guard(&self) -> Gateway<'_> {
        let mut gateway = self.guard_unready().await;
        gateway.start().await;
        gateway
    }

    /// The redirect, and a gateway that is not started yet.
    pub(crate) async fn guard_unready(&self) -> Gateway<'_> {
        manifests::apply_rights(&self.cluster).await;
        let kubeconfig = self.cluster.kubeconfig_of(manifests::NAMESPACE, manifests::SERVICE_ACCOUNT).await;
        let gateway = Gateway::new(&self.node.namespace, &kubeconfig);
        let installed = gateway.intercept("install").await;
        assert!(installed.status.success(), "{installed:?}");
        gateway
    }
}
