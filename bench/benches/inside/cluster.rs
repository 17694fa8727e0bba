//! B8 as a node of a cluster has it: of the program as it is shipped, whose pods come from an API server. `make bench` builds
//! that program before.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, Result};
use metagate_load::{
    budget::{Row, Target},
    report::progress,
    round::introduced,
    server::{NODE, Server, address_of},
};
use metagate_testkit::{ApiServer, api_server::Kind};
use serde_json::{Value, json};

/// The kubelet's default of `maxPods`.
const FULL: usize = 110;
const MORE: usize = 1000;
/// After which nothing that only the start needed is still about to be freed.
const SETTLED: Duration = Duration::from_secs(3);
const MIB: f64 = (1 << 20) as f64;

pub(crate) async fn memory(binary: &Path) -> Result<Vec<Row>> {
    let built =
        binary.metadata().and_then(|found| found.modified()).with_context(|| format!("no {}", binary.display()))?;
    progress(format!("{} as built {} minutes ago", binary.display(), built.elapsed()?.as_secs() / 60));
    let (idle, full) = (resident(binary, 0).await?, resident(binary, FULL).await?);
    let crowded = resident(binary, FULL + MORE).await?;
    let each = (crowded - full) / MORE as f64 / 1024.0;
    let note = "pods of an API server, 4 KiB of JSON each";
    Ok(vec![
        Row::new("B8", "resident on a cluster, idle", idle / MIB, "MiB", Target::AtMost(25.0)).note(note),
        Row::new("B8", "resident on a cluster, 110 pods with 110 roles", full / MIB, "MiB", Target::AtMost(32.0))
            .note(note),
        Row::new("B8", "each further pod of a cluster", each, "KiB", Target::AtMost(4.0)).note(format!("of {MORE}")),
    ])
}

/// Bytes, once each pod has been given a credential of its own.
async fn resident(binary: &Path, pods: usize) -> Result<f64> {
    progress(format!("resident memory on a cluster: {pods} pods"));
    let (cluster, folder) = (ApiServer::start().await?, tempfile::tempdir()?);
    cluster.put(Kind::Namespaces, namespace());
    cluster.put(
        Kind::ServiceAccounts,
        json!({ "metadata": { "namespace": "crowd", "name": "default", "uid": "default" } }),
    );
    for number in 0..pods {
        cluster.put(Kind::Pods, pod(number, address_of(number)));
    }
    let (gateway, _) = Server::on_cluster(binary, &cluster.kubeconfig(folder.path())?).await?;
    introduced(&gateway, pods).await?;
    tokio::time::sleep(SETTLED).await;
    Ok(gateway.resident()? as f64)
}

fn namespace() -> Value {
    let annotations = json!({ "iam.amazonaws.com/permitted": ".*:role/crowd-.*" });
    json!({ "metadata": { "name": "crowd", "uid": "crowd", "annotations": annotations } })
}

/// As an API server writes one: what was applied, who set which field, and a container with some environment.
fn pod(number: usize, address: Ipv4Addr) -> Value {
    let fields: serde_json::Map<_, _> = (0..60).map(|field| (format!("f:field-{field}"), json!({}))).collect();
    let environment: Vec<_> =
        (0..20).map(|variable| json!({ "name": format!("VARIABLE_{variable}"), "value": "v".repeat(20) })).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "crowd", "name": format!("pod-{number}"), "uid": format!("{number:08x}-0000-4000-8000-000000000000"),
            "labels": { "app": "crowd", "pod-template-hash": "6d4cf56db6" },
            "annotations": {
                "iam.amazonaws.com/role": format!("crowd-{number:05}"),
                "kubectl.kubernetes.io/last-applied-configuration": "{}".repeat(500),
            },
            "managedFields": [{ "manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields }],
        },
        "spec": {
            "nodeName": NODE, "serviceAccountName": "default",
            "containers": [{ "name": "app", "image": "registry.example.com/app:1", "env": environment }],
        },
        "status": { "phase": "Running", "hostIP": "10.0.0.1", "podIP": address, "podIPs": [{ "ip": address }] },
    })
}
