//! What pods get during an outage, and afterwards.

use http::StatusCode;

use super::{
    gateway::STARTUP_TAINT,
    lab::Lab,
    pod::{Cni, NODE, Pod},
    wait::until_equal,
};

const ROLE_PATH: &str = "/latest/meta-data/iam/security-credentials/";

fn checkout() -> Pod {
    Pod::new("payments", "checkout", "10.0.1.5").with_role("payments-checkout")
}

#[tokio::test]
async fn without_the_api_server_pods_are_served_and_afterwards_changes_are_seen() {
    let Some(lab) = Lab::start().await else { return };
    let gateway = lab.guard().await;
    let pod = checkout();
    let inside = lab.run(&pod, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("payments-checkout")));

    lab.kill_api_server();
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("payments-checkout")));
    assert_eq!(gateway.ready().await, Some(StatusCode::OK));

    lab.start_api_server().await;
    pod.set_role(&lab.api(), "payments-refunds").await;
    let edited = Some(pod.session_of("payments-refunds"));
    until_equal("the edit after the outage", edited, async || inside.who_am_i().await).await;
}

/// `410 Gone`: missed events cannot be had any more, only the present state. `smoke` proves that the API server answers
/// so here.
#[tokio::test]
async fn what_was_missed_and_compacted_away_is_found_by_listing_again() {
    let Some(lab) = Lab::start().await else { return };
    let gateway = lab.guard().await;
    let checkout = checkout();
    let inside = lab.run(&checkout, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(checkout.session_of("payments-checkout")));
    let visitor = Pod::new("guests", "visitor", &checkout.addresses[0]).with_role("guests-visitor");
    let idle = Pod::new("payments", "idle", "10.0.1.6").with_role("payments-idle");
    let inside_idle = lab.run(&idle, Cni::Calico).await;
    assert_eq!(inside_idle.who_am_i().await, Some(idle.session_of("payments-idle")));

    lab.miss_and_compact(async || {
        checkout.delete(&lab.api()).await;
        idle.delete(&lab.api()).await;
        visitor.create(&lab.api()).await;
    })
    .await;
    let owner = Some(visitor.session_of("guests-visitor"));
    until_equal("the address's new pod", owner, async || inside.who_am_i().await).await;
    assert_eq!(inside_idle.who_am_i().await, None, "a pod whose deletion was missed");
    assert_eq!(gateway.ready().await, Some(StatusCode::OK));
}

#[tokio::test]
async fn without_the_gateway_pods_get_nothing_and_their_tokens_outlive_it() {
    let Some(lab) = Lab::start().await else { return };
    let mut gateway = lab.guard().await;
    let pod = checkout();
    let inside = lab.run(&pod, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("payments-checkout")));
    let token = inside.session_token().await;

    gateway.kill();
    assert_eq!(inside.get(ROLE_PATH, &token).await, None);
    assert_eq!(inside.who_am_i().await, None, "not the node's role either");

    gateway.start().await;
    assert_eq!(inside.get(ROLE_PATH, &token).await, Some((200, "payments-checkout".to_owned())));
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("payments-checkout")));
}

#[tokio::test]
async fn before_the_first_sync_pods_are_told_to_retry() {
    let Some(lab) = Lab::start().await else { return };
    let pod = checkout();
    let inside = lab.run(&pod, Cni::AmazonVpc).await;
    let mut gateway = lab.guard_unready().await;
    lab.kill_api_server();
    gateway.start_unready();
    let listens = Some(StatusCode::SERVICE_UNAVAILABLE);
    until_equal("readiness without a roster", listens, async || gateway.ready().await).await;
    let token = inside.session_token().await;
    let (status, text) = inside.get(ROLE_PATH, &token).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");

    lab.start_api_server().await;
    let served = Some(pod.session_of("payments-checkout"));
    until_equal("the pod after the first sync", served, async || inside.who_am_i().await).await;
    assert_eq!(gateway.ready().await, Some(StatusCode::OK));
}

#[tokio::test]
async fn a_gateway_that_is_ready_takes_its_own_nodes_startup_taint_away_and_no_other() {
    const OTHER: &str = "example.com/dedicated";
    let Some(lab) = Lab::start().await else { return };
    let node = format!("/api/v1/nodes/{NODE}");
    let taints = async || {
        let node = lab.api().get(&node).await;
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().map(|taint| taint["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let keys = [STARTUP_TAINT, OTHER].map(|key| serde_json::json!({ "key": key, "effect": "NoSchedule" }));
    lab.api().patch(&node, serde_json::json!({ "spec": { "taints": keys } })).await;
    lab.create_node_named("node-b").await;
    assert_eq!(taints().await, [STARTUP_TAINT, OTHER]);
    let _gateway = lab.guard().await;
    until_equal("the node's taints", vec![OTHER.to_owned()], taints).await;
    let another = lab.api().get("/api/v1/nodes/node-b").await;
    assert!(another["spec"]["taints"].to_string().contains(STARTUP_TAINT), "{another}");
}
