//! Which pod an address belongs to.

use http::StatusCode;

use super::{
    gateway::PORT,
    lab::Lab,
    node,
    pod::{Cni, Pod, curl},
    wait::until_equal,
};

const ADDRESS: &str = "10.0.1.5";
const ROLE_PATH: &str = "/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn a_reused_address_answers_its_new_pod_only() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let checkout = Pod::new("payments", "checkout", ADDRESS).with_role("payments-checkout");
    let inside = lab.run(&checkout, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(checkout.session_of("payments-checkout")));
    let old_token = inside.session_token().await;

    checkout.delete(&lab.api()).await;
    // A pod's processes may outlive it for a while.
    until_equal("credentials of a deleted pod", None, async || inside.who_am_i().await).await;
    drop(inside);

    let visitor = Pod::new("guests", "visitor", ADDRESS).with_role("guests-visitor");
    let inside = lab.run(&visitor, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(visitor.session_of("guests-visitor")));
    let (status, _) = inside.get(ROLE_PATH, &old_token).await.unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED, "the session token of the address's previous pod");
}

#[tokio::test]
async fn two_pods_on_one_address_get_nothing_until_one_is_gone() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let checkout = Pod::new("payments", "checkout", ADDRESS).with_role("payments-checkout");
    let inside = lab.run(&checkout, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(checkout.session_of("payments-checkout")));
    let visitor = Pod::new("guests", "visitor", ADDRESS).with_role("guests-visitor");
    visitor.create(&lab.api()).await;
    until_equal("an address of two pods", None, async || inside.who_am_i().await).await;
    checkout.delete(&lab.api()).await;
    let left = Some(visitor.session_of("guests-visitor"));
    until_equal("the one pod that is left", left, async || inside.who_am_i().await).await;
}

#[tokio::test]
async fn a_pod_on_the_hosts_network_gets_no_role() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let agent = Pod::new("payments", "agent", node::ADDRESS).with_role("payments-agent").on_host_network();
    agent.create(&lab.api()).await;
    // Once the gateway has seen the pod that was created after the agent, it has seen the agent.
    let checkout = Pod::new("payments", "checkout", ADDRESS).with_role("payments-checkout");
    let inside = lab.run(&checkout, Cni::AmazonVpc).await;
    let seen = Some(checkout.session_of("payments-checkout"));
    until_equal("the pod after the agent", seen, async || inside.who_am_i().await).await;
    let url = format!("http://{}:{PORT}{ROLE_PATH}", node::ADDRESS);
    let (status, text) = curl(&lab.node.namespace, &url, &["--header", "Host: 169.254.169.254"]).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("not known"), "{text}");
}
