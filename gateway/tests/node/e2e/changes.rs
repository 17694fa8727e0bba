//! Which role a pod gets, and that an edit of an object changes it.

use serde_json::json;

use super::{
    lab::{Lab, PERMITTED},
    node::{IMDS, NODE_ROLE},
    pod::{Cni, Pod, curl},
    wait::until_equal,
};

const IRSA: &str = "eks.amazonaws.com/role-arn";
const LEDGER: &str = "arn:aws:iam::123456789012:role/ledger";
const ARCHIVE: &str = "arn:aws:iam::123456789012:role/archive";

#[tokio::test]
async fn each_pod_gets_its_own_role_and_the_node_keeps_its_own() {
    let Some(lab) = Lab::start().await else { return };
    let checkout = Pod::new("payments", "checkout", "10.0.1.5").with_role("payments-checkout");
    let refunds = Pod::new("payments", "refunds", "10.0.1.6").with_role("payments-refunds");
    let visitor = Pod::new("guests", "visitor", "10.0.1.7").with_role("guests-visitor");
    let of_checkout = lab.run(&checkout, Cni::AmazonVpc).await;
    let of_refunds = lab.run(&refunds, Cni::Calico).await;
    let _gateway = lab.guard().await;
    // This pod comes when the gateway runs already.
    let of_visitor = lab.run(&visitor, Cni::Calico).await;
    assert_eq!(of_checkout.who_am_i().await, Some(checkout.session_of("payments-checkout")));
    assert_eq!(of_refunds.who_am_i().await, Some(refunds.session_of("payments-refunds")));
    assert_eq!(of_visitor.who_am_i().await, Some(visitor.session_of("guests-visitor")));
    let url = format!("{IMDS}/latest/meta-data/iam/security-credentials/");
    assert_eq!(curl(&lab.node.namespace, &url, &[]).await, Some((200, "node-role".to_owned())));
}

#[tokio::test]
async fn a_pod_with_two_addresses_has_its_role_by_both() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let pod = Pod::new("payments", "checkout", "10.0.1.5").with_address("fd00:1::5").with_role("payments-checkout");
    let inside = lab.run(&pod, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("payments-checkout")));
    assert_eq!(inside.who_am_i_by_ipv6().await, Some(pod.session_of("payments-checkout")));
}

#[tokio::test]
async fn a_pod_without_a_role_and_one_that_is_denied_get_nothing() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let idle = lab.run(&Pod::new("payments", "idle", "10.0.1.5"), Cni::AmazonVpc).await;
    let intruder = Pod::new("guests", "intruder", "10.0.1.6").with_role("payments-checkout");
    let intruder = lab.run(&intruder, Cni::AmazonVpc).await;
    assert_eq!(idle.who_am_i().await, None);
    assert_eq!(intruder.who_am_i().await, None);
}

#[tokio::test]
async fn an_edited_annotation_changes_the_pods_role() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let pod = Pod::new("payments", "checkout", "10.0.1.5").with_role("payments-checkout");
    let inside = lab.run(&pod, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("payments-checkout")));
    pod.set_role(&lab.api(), "payments-refunds").await;
    let edited = Some(pod.session_of("payments-refunds"));
    until_equal("the role after the edit", edited, async || inside.who_am_i().await).await;
    pod.set_role(&lab.api(), "guests-visitor").await;
    until_equal("a role that the namespace does not permit", None, async || inside.who_am_i().await).await;
}

#[tokio::test]
async fn an_edited_namespace_takes_the_role_and_gives_it_back() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let pod = Pod::new("payments", "checkout", "10.0.1.5").with_role("payments-checkout");
    let inside = lab.run(&pod, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("payments-checkout")));
    lab.api().annotate_namespace("payments", json!({ PERMITTED: "nothing" })).await;
    until_equal("the role that is not permitted", None, async || inside.who_am_i().await).await;
    lab.api().annotate_namespace("payments", json!({ PERMITTED: super::lab::PAYMENTS })).await;
    let again = Some(pod.session_of("payments-checkout"));
    until_equal("the role that is permitted again", again, async || inside.who_am_i().await).await;
}

/// By a TokenRequest for the pod's service account, and AssumeRoleWithWebIdentity.
#[tokio::test]
async fn a_pod_without_a_role_of_its_own_gets_its_service_accounts() {
    let Some(lab) = Lab::start().await else { return };
    lab.api().create_service_account("payments", "ledger", json!({ IRSA: LEDGER })).await;
    let _gateway = lab.guard().await;
    let pod = Pod::new("payments", "ledger-0", "10.0.1.5").with_service_account("ledger");
    let inside = lab.run(&pod, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, Some(pod.session_of("ledger")));
    lab.api().annotate_service_account("payments", "ledger", json!({ IRSA: ARCHIVE })).await;
    let edited = Some(pod.session_of("archive"));
    until_equal("the service account's other role", edited, async || inside.who_am_i().await).await;
    lab.api().annotate_service_account("payments", "ledger", json!({ IRSA: null })).await;
    until_equal("the service account without a role", None, async || inside.who_am_i().await).await;
}

#[tokio::test]
async fn removing_the_redirect_gives_pods_the_nodes_role_again() {
    let Some(lab) = Lab::start().await else { return };
    let gateway = lab.guard().await;
    let inside = lab.run(&Pod::new("payments", "idle", "10.0.1.5"), Cni::AmazonVpc).await;
    assert!(gateway.intercept("verify").await.status.success());
    assert_eq!(inside.who_am_i().await, None);
    assert!(gateway.intercept("uninstall").await.status.success());
    assert!(!gateway.intercept("verify").await.status.success());
    // So it was the redirect that kept the pod from the node's role.
    assert_eq!(inside.who_am_i().await.as_deref(), Some(NODE_ROLE));
}
