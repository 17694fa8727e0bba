//! Large annotations (256 KiB), and thousands of pods.

use super::*;

/// The API server's limit for all annotations of one object.
const ANNOTATIONS_MAX: usize = 256 << 10;

#[tokio::test]
async fn only_what_policy_reads_of_huge_annotations_is_stored() {
    let mut huge = pod("a", "127.0.0.2", "payments-a");
    huge["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        json!("x".repeat(ANNOTATIONS_MAX));
    huge["metadata"]["labels"] = json!({ "tier": "trusted" });
    let api = api(&[huge]).await;
    api.edit(Kind::Namespaces, "", "payments", |namespace| {
        namespace["metadata"]["annotations"]["other"] = json!("x".repeat(ANNOTATIONS_MAX));
        namespace["metadata"]["labels"] = json!({ "team": "payments" });
    });
    let lab = Lab::start(api).await;
    let held = lab.at("127.0.0.2").unwrap();
    assert_eq!(held.workload.annotations.keys().collect::<Vec<_>>(), ["iam.amazonaws.com/role"]);
    assert_eq!(held.workload.namespace_annotations.keys().collect::<Vec<_>>(), ["iam.amazonaws.com/permitted"]);
    assert!(held.workload.labels.is_empty() && held.workload.namespace_labels.is_empty());
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
}

#[tokio::test]
async fn a_role_annotation_of_256_kib_is_a_refusal_for_its_pod_alone() {
    let pods = [pod("huge", "127.0.0.2", &"x".repeat(ANNOTATIONS_MAX)), pod("a", "127.0.0.3", "payments-a")];
    let lab = Lab::start(api(&pods).await).await;
    assert_eq!(lab.role("127.0.0.2").await, Err(403));
    assert_eq!(lab.role("127.0.0.3").await, Ok("payments-a".into()));
    lab.until_api("it has an Event", |api| !api.events().is_empty()).await;
    assert!(lab.api.events()[0]["note"].as_str().unwrap().len() <= 1024);
}

#[tokio::test]
async fn five_thousand_pods_are_followed() {
    let address = |number: u32| std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string();
    let pods: Vec<_> = (0..5000).map(|number| pod(&format!("p-{number}"), &address(number), "payments-a")).collect();
    let feed = Arc::new(Feed::default());
    let api = api(&pods).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(folder.path()).unwrap();
    // Without a gateway around it: this test is about the roster, and 5,000 decisions take time.
    let cluster = metagate::kubernetes::Cluster::find(Some(&kubeconfig)).await.unwrap();
    let watched = metagate::roster::kube::Watched::new(cluster, NODE).unwrap();
    let (_rules, changes) = tokio::sync::watch::channel(());
    let context = metagate::roster::kube::Context {
        clock: metagate::clock::Clock::system(),
        events: metagate::kubernetes::events::EventSender::default(),
        interest: Box::new(metagate::interest::Interest::default),
        rules: changes,
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(watched.run(Arc::clone(&feed), context, stop.clone()));
    let known = |count: usize| {
        let feed = Arc::clone(&feed);
        async move {
            let mut changes = feed.changes();
            while feed.current().workloads().count() != count {
                changes.changed().await.unwrap();
            }
        }
    };
    tokio::time::timeout(DEADLINE, known(5000)).await.unwrap();
    assert!(
        matches!(feed.current().at(address(4999).parse().unwrap()), Standing::Known(pod) if pod.workload.pod == "p-4999")
    );
    api.delete(Kind::Pods, "payments", "p-0");
    tokio::time::timeout(DEADLINE, known(4999)).await.unwrap();
    stop.cancel();
    running.await.unwrap();
}
