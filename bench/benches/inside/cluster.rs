//! B8 on a node of a cluster: measured with the shipped program, whose pods come from an API server. `make bench`
//! builds that program first.

use std::{net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use metagate_load::{
    budget::Row,
    memory::{self, PODS},
    report::progress,
    server::{NODE, Server, address_of},
};
use metagate_testkit::{ApiServer, api_server::Kind};
use serde_json::{Value, json};

pub(crate) async fn resident(binary: &Path) -> Result<Vec<Row>> {
    let built =
        binary.metadata().and_then(|found| found.modified()).with_context(|| format!("no {}", binary.display()))?;
    progress(format!("{} as built {} minutes ago", binary.display(), built.elapsed()?.as_secs() / 60));
    let mut resident = [0.0; PODS.len()];
    for (bytes, pods) in resident.iter_mut().zip(PODS) {
        progress(format!("resident memory, cluster: {pods} pods"));
        let (cluster, folder) = (cluster_of(pods).await?, tempfile::tempdir()?);
        let (gateway, _) = Server::on_cluster(binary, &cluster.kubeconfig(folder.path())?).await?;
        *bytes = memory::settled(&gateway, pods).await?;
    }
    Ok(memory::rows(resident, "cluster"))
}

async fn cluster_of(pods: usize) -> Result<ApiServer> {
    let cluster = ApiServer::start().await?;
    cluster.put(Kind::Namespaces, namespace());
    cluster.put(
        Kind::ServiceAccounts,
        json!({ "metadata": { "namespace": "crowd", "name": "default", "uid": "default" } }),
    );
    for number in 0..pods {
        cluster.put(Kind::Pods, pod(number, address_of(number)));
    }
    Ok(cluster)
}

fn namespace() -> Value {
    let annotations = json!({ "iam.amazonaws.com/permitted": ".*:role/crowd-.*" });
    json!({ "metadata": { "name": "crowd", "uid": "crowd", "annotations": annotations } })
}

/// A pod of 4 KiB, as an API server writes it: the applied manifest, who set which field, and a container with some
/// environment.
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
