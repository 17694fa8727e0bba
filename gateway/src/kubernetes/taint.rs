//! The taint that keeps pods off a node until the gateway is ready there.
//!
//! Nodes are registered with it (kubelet's --register-with-taints, a node group's taints), so that no pod starts where
//! no gateway would answer it. Only the gateway removes it, once, from its own node.

use std::time::Duration;

use ::kube::{
    Api, Client, Error,
    api::{Patch, PatchParams},
};
use json_patch::jsonptr::PointerBuf;
use json_patch::{PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::api::core::v1::{Node, Taint};
use tokio_util::sync::CancellationToken;

use crate::lifecycle::Readiness;

/// The pause between two attempts, and the timeout of each.
const RETRY: Duration = Duration::from_secs(5);

/// Removes the taints with that key from `node` as soon as `readiness` waits for nothing, and ends.
pub async fn remove_when_ready(
    client: Client,
    node: String,
    key: String,
    readiness: Readiness,
    stop: CancellationToken,
) {
    let removing = async {
        readiness.ready().await;
        loop {
            match tokio::time::timeout(RETRY, remove(&client, &node, &key)).await {
                Ok(Ok(removed)) => return tracing::info!(node, taint = key, removed, "no startup taint is left"),
                Ok(Err(error)) => tracing::warn!(
                    node,
                    taint = key,
                    %error,
                    "the startup taint is not removed yet; it needs get and patch on nodes"
                ),
                Err(_) => {
                    tracing::warn!(node, taint = key, "the startup taint is not removed yet: no answer within 5s")
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = removing => {}
    }
}

/// Returns how many there were. The patch tests what it removes, so it fails if somebody else changed the taints
/// meanwhile.
async fn remove(client: &Client, node: &str, key: &str) -> Result<usize, Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let taints = nodes.get(node).await?.spec.and_then(|spec| spec.taints).unwrap_or_default();
    let operations = removal(&taints, key);
    if !operations.is_empty() {
        let patch = Patch::Json::<()>(json_patch::Patch(operations.clone()));
        nodes.patch(node, &PatchParams::default(), &patch).await?;
    }
    Ok(operations.len() / 2)
}

/// From the last to the first, so that a removal does not shift the taints that are still to be removed.
fn removal(taints: &[Taint], key: &str) -> Vec<PatchOperation> {
    let ours = taints.iter().enumerate().filter(|(_, taint)| taint.key == key);
    let pairs = ours.rev().map(|(index, taint)| {
        let index = index.to_string();
        let value = taint.key.as_str().into();
        let test = TestOperation { path: PointerBuf::from_tokens(["spec", "taints", &index, "key"]), value };
        let remove = RemoveOperation { path: PointerBuf::from_tokens(["spec", "taints", &index]) };
        [PatchOperation::Test(test), PatchOperation::Remove(remove)]
    });
    pairs.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, effect: &str) -> Taint {
        Taint { key: key.into(), effect: effect.into(), ..Taint::default() }
    }

    #[test]
    fn only_taints_of_the_key_are_removed_each_after_a_test() {
        let taints = [
            taint("metagate.io/agent-not-ready", "NoSchedule"),
            taint("node.kubernetes.io/unreachable", "NoExecute"),
            taint("metagate.io/agent-not-ready", "NoExecute"),
        ];
        let patch = serde_json::to_value(removal(&taints, "metagate.io/agent-not-ready")).unwrap();
        assert_eq!(
            patch,
            serde_json::json!([
                { "op": "test", "path": "/spec/taints/2/key", "value": "metagate.io/agent-not-ready" },
                { "op": "remove", "path": "/spec/taints/2" },
                { "op": "test", "path": "/spec/taints/0/key", "value": "metagate.io/agent-not-ready" },
                { "op": "remove", "path": "/spec/taints/0" },
            ])
        );
        assert!(removal(&taints, "another").is_empty());
    }
}
