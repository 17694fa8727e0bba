//! This node, as the API server knows it.

use std::{sync::Arc, time::Duration};

use ::kube::{Api, Client, Error, api::ListParams};
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::time::timeout;

use super::{Finding, gateway, no_cluster};
use crate::{config::Config, kubernetes::Cluster};

const NODE: &str = "node";
const TAINT: &str = "startup-taint";

pub(super) async fn look(config: Arc<Config>, patience: Duration) -> Vec<Finding> {
    let skip = |why: &str| vec![Finding::skip(NODE, why), Finding::skip(TAINT, why)];
    if let Some(why) = no_cluster(&config.roster.source) {
        return skip(why);
    }
    let name = &config.roster.node;
    if name.is_empty() {
        let cure = "Set `roster.node`, or the variable NODE_NAME from spec.nodeName as the DaemonSet does.";
        return vec![Finding::fail(NODE, "this node's name is not known", cure), Finding::skip(TAINT, "no node")];
    }
    let found = Cluster::find(config.kubernetes.kubeconfig.as_deref()).await;
    let Ok(client) = found.and_then(|cluster| cluster.client()) else { return skip("no API server") };
    let nodes: Api<Node> = Api::all(client.clone());
    match timeout(patience, nodes.get(name)).await {
        Ok(Ok(node)) => {
            let ready = gateway::is_ready(&config.admin.listen, patience).await;
            let found = Finding::pass(NODE, format!("{name} is a node of the cluster"));
            vec![found, taint(&node, config.kubernetes.startup_taint.as_deref(), ready)]
        }
        Ok(Err(Error::Api(status))) if status.code == 404 => {
            vec![stranger(format!("the cluster has no node {name}")), Finding::skip(TAINT, "no node")]
        }
        // Only the taint needs the right to read nodes. Without it, the gateway's own pod shows that the node exists.
        Ok(Err(Error::Api(status))) if status.code == 403 => {
            vec![by_its_pods(&client, name, patience).await, Finding::skip(TAINT, "no right to get nodes")]
        }
        Ok(Err(_)) | Err(_) => skip("no API server"),
    }
}

async fn by_its_pods(client: &Client, name: &str, patience: Duration) -> Finding {
    let pods: Api<Pod> = Api::all(client.clone());
    let one = ListParams::default().fields(&format!("spec.nodeName={name}")).limit(1);
    match timeout(patience, pods.list_metadata(&one)).await {
        Ok(Ok(list)) if list.items.is_empty() => stranger(format!("no pod runs on a node {name}")),
        Ok(Ok(_)) => Finding::pass(NODE, format!("pods run on {name}")),
        Ok(Err(_)) | Err(_) => Finding::skip(NODE, "no right to get nodes or list pods"),
    }
}

fn stranger(found: String) -> Finding {
    let cure = "`roster.node`, or NODE_NAME, must be the Node's name (kubectl get nodes), not a host name; the \
                DaemonSet sets it from spec.nodeName. Until then no pod is known.";
    Finding::fail(NODE, found, cure)
}

fn taint(node: &Node, key: Option<&str>, ready: Option<bool>) -> Finding {
    let Some(key) = key else { return Finding::skip(TAINT, "no kubernetes.startup_taint") };
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    if !taints.into_iter().any(|taint| taint.key == key) {
        return Finding::pass(TAINT, format!("{key} is not on this node"));
    }
    match ready {
        Some(true) => Finding::warn(
            TAINT,
            format!("{key} is still on this node, though the gateway is ready; no pod starts here"),
            "See the check `right-nodes` and the gateway's log. To remove it by hand: kubectl taint node NODE KEY-",
        ),
        Some(false) => Finding::warn(
            TAINT,
            format!("{key} is on this node, and no pod starts here until the gateway is ready"),
            "The check `readiness` says what the gateway waits for.",
        ),
        None => Finding::warn(
            TAINT,
            format!("{key} is on this node, and no pod starts here until a gateway is ready"),
            "The check `gateway` says why there is none.",
        ),
    }
}
