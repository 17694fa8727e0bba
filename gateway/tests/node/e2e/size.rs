//! The memory of a node with many pods.

use super::{lab::Lab, pod::Pod, wait::until_equal};

/// Kubernetes' default maximum of pods on a node, and many more than any node has.
const STEPS: [usize; 2] = [110, 1000];

/// The pods never ask, because the memory of their grants and credentials is measured.
#[tokio::test]
async fn a_node_may_have_110_pods_and_1000_and_each_has_its_credentials_before_it_asks() {
    let Some(lab) = Lab::start().await else { return };
    let gateway = lab.guard().await;
    let mut sizes = vec![(0, gateway.resident_kib())];
    let mut made = 0;
    for pods in STEPS {
        while made < pods {
            let (name, address) = (format!("pod-{made}"), format!("10.2.{}.{}", made / 250, made % 250 + 1));
            // Each has its own role, because a shared role would be one grant.
            let pod = Pod::new("payments", name.leak(), &address).with_role(&format!("payments-{made}"));
            pod.create(&lab.api()).await;
            made += 1;
        }
        let ready = async || {
            let workloads = gateway.workloads().await;
            workloads.iter().filter(|workload| workload["credential_expires"].is_string()).count()
        };
        until_equal("pods with credentials", pods, ready).await;
        sizes.push((pods, gateway.resident_kib()));
    }
    for (pods, kib) in sizes {
        println!("{pods} pods, each with a role and credentials of its own: {kib} KiB resident");
    }
}
