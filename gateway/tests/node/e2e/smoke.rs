//! What the other tests rely on: the cluster, the network, and the leak of the node's role without a gateway.

use std::fs;

use super::{
    lab::Lab,
    node::{IMDS, NODE_ROLE},
    pod::{Cni, Pod, curl},
};

#[tokio::test]
async fn a_cluster_has_pods_tokens_and_authorization() {
    let Some(lab) = Lab::start().await else { return };
    let pod = Pod::new("payments", "checkout", "10.0.1.5");
    pod.create(&lab.api()).await;
    let got = lab.cluster.kubectl(["get", "pod", "--namespace=payments", "--output=wide"]).await;
    assert!(got.stdout.contains("checkout") && got.stdout.contains("10.0.1.5"), "{got:?}");

    lab.api().create_service_account("guests", "stranger", serde_json::json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, lab.cluster.kubeconfig_of("guests", "stranger").await).unwrap();
    let refused = lab.cluster.kubectl_as(&kubeconfig, ["get", "pod", "--namespace=payments"]).await;
    assert!(!refused.status.success(), "{refused:?}");
    // By name: the token says whose it is.
    assert!(refused.stderr.contains("system:serviceaccount:guests:stranger"), "{refused:?}");
    assert!(refused.stderr.contains("Forbidden"), "{refused:?}");
}

#[tokio::test]
async fn a_killed_api_server_comes_back_with_what_it_held_and_a_compacted_etcd_has_forgotten() {
    let Some(lab) = Lab::start().await else { return };
    let created = Pod::new("payments", "checkout", "10.0.1.5").create(&lab.api()).await;
    lab.miss_and_compact(async || {
        Pod::new("payments", "ledger", "10.0.1.6").create(&lab.api()).await;
    })
    .await;
    let version = created["metadata"]["resourceVersion"].as_str().unwrap();
    let event = lab.api().watch_from("/api/v1/pods", version).await;
    assert!(event.contains(r#""code":410"#), "{event}");
    let pods = lab.api().get("/api/v1/namespaces/payments/pods").await;
    assert_eq!(pods["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn without_a_gateway_every_pod_gets_the_nodes_role() {
    let Some(lab) = Lab::start().await else { return };
    let both = Pod::new("payments", "checkout", "10.0.1.5").with_address("fd00:1::5");
    for (pod, cni) in [(both, Cni::AmazonVpc), (Pod::new("guests", "visitor", "10.0.1.6"), Cni::Calico)] {
        let inside = lab.run(&pod, cni).await;
        assert_eq!(inside.who_am_i().await.as_deref(), Some(NODE_ROLE), "{cni:?}");
        if pod.addresses.len() == 2 {
            assert_eq!(inside.who_am_i_by_ipv6().await.as_deref(), Some(NODE_ROLE), "{cni:?}");
        }
    }
    // A process of the node's own gets it too, which is right.
    let url = format!("{IMDS}/latest/meta-data/iam/security-credentials/");
    assert_eq!(curl(&lab.node.namespace, &url, &[]).await, Some((200, "node-role".to_owned())));
}
