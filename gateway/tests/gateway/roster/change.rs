//! An edit applies from the next request on, and credentials that no grant names any more are dropped.

use std::time::SystemTime;

use metagate::roster::Entry;

use super::*;

const OWN: &str = "iam.amazonaws.com/role";

/// The role of each credential that the keeper has.
async fn cached(lab: &Lab) -> Vec<String> {
    let state: Value = serde_json::from_str(&lab.admin("/api/v1/state").await.text()).unwrap();
    let all = state["credentials"].as_array().unwrap_or_else(|| panic!("{state}"));
    let role = |one: &Value| {
        one["role_arn"].as_str().unwrap_or_else(|| panic!("{one}")).rsplit('/').next().unwrap().to_owned()
    };
    all.iter().map(role).collect()
}

/// Polls until it is so, because the keeper notifies nobody.
async fn until_cached(lab: &Lab, roles: &[&str]) {
    let look = async {
        while cached(lab).await != roles {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(DEADLINE, look).await;
    assert!(seen.is_ok(), "wanted {roles:?}, found {:?}", cached(lab).await);
}

/// Waits until the pod at this address is another value than `before`.
async fn until_another(lab: &Lab, address: &str, before: &Arc<Entry>) {
    let another = |feed: &Feed| matches!(feed.current().at(address.parse().unwrap()), Standing::Known(now) if !Arc::ptr_eq(&now, before));
    lab.until("the pod's value changes", another).await;
}

#[tokio::test]
async fn a_pod_s_edited_annotation_is_its_role_and_the_old_one_s_credentials_are_dropped() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-old")]).await).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-old".into()));
    until_cached(&lab, &["payments-old"]).await;
    let before = lab.at("127.0.0.2").unwrap();
    lab.api.edit(Kind::Pods, "payments", "a", |pod| pod["metadata"]["annotations"][OWN] = json!("payments-new"));
    until_another(&lab, "127.0.0.2", &before).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-new".into()));
    assert_eq!(lab.get("127.0.0.2", &format!("{ROLE}payments-old")).await.status, 404);
    until_cached(&lab, &["payments-new"]).await;
}

#[tokio::test]
async fn a_namespace_that_permits_no_more_takes_the_role_and_its_credentials_away() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    assert_eq!(lab.get("127.0.0.2", &format!("{ROLE}payments-a")).await.status, 200);
    let before = lab.at("127.0.0.2").unwrap();
    lab.api.put(Kind::Namespaces, namespace("payments", ".*:role/others-.*"));
    until_another(&lab, "127.0.0.2", &before).await;
    assert_eq!(lab.get("127.0.0.2", &format!("{ROLE}payments-a")).await.status, 403);
    until_cached(&lab, &[]).await;
    let before = lab.at("127.0.0.2").unwrap();
    lab.api.put(Kind::Namespaces, namespace("payments", ".*:role/payments-.*"));
    until_another(&lab, "127.0.0.2", &before).await;
    assert_eq!(lab.get("127.0.0.2", &format!("{ROLE}payments-a")).await.status, 200);
}

#[tokio::test]
async fn a_service_account_s_edited_annotation_is_the_role_of_its_pods() {
    const IRSA: &str = "eks.amazonaws.com/role-arn";
    let arn = |name: &str| json!({ IRSA: format!("arn:aws:iam::123456789012:role/{name}") });
    let mut ledger = pod("a", "127.0.0.2", "");
    ledger["metadata"]["annotations"] = json!({});
    ledger["spec"]["serviceAccountName"] = json!("ledger");
    let api = api(&[ledger]).await;
    api.put(Kind::ServiceAccounts, account("payments", "ledger", arn("ledger-old")));
    let lab = Lab::start(api).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("ledger-old".into()));
    let before = lab.at("127.0.0.2").unwrap();
    lab.api.put(Kind::ServiceAccounts, account("payments", "ledger", arn("ledger-new")));
    until_another(&lab, "127.0.0.2", &before).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("ledger-new".into()));
    until_cached(&lab, &["ledger-new"]).await;
}

#[tokio::test]
async fn a_deleted_pods_address_identifies_nobody_until_another_live_pod_has_it() {
    let lab =
        Lab::with(api(&[pod("a", "127.0.0.2", "payments-a")]).await, |setup| setup.set("roster.wait", "10ms")).await;
    let credential = format!("{ROLE}payments-a");
    assert_eq!(lab.get("127.0.0.2", &credential).await.status, 200);
    lab.api.delete(Kind::Pods, "payments", "a");
    lab.until_at("127.0.0.2", None).await;
    assert_eq!(lab.get("127.0.0.2", &credential).await.status, 503);
    until_cached(&lab, &[]).await;
    lab.api.put(Kind::Namespaces, namespace("guests", ".*:role/guests-.*"));
    lab.api.put(Kind::ServiceAccounts, account("guests", "default", json!({})));
    let mut guest = pod("b", "127.0.0.2", "guests-b");
    guest["metadata"]["namespace"] = json!("guests");
    lab.api.put(Kind::Pods, guest);
    lab.until_at("127.0.0.2", Some("b")).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("guests-b".into()));
    assert_eq!(lab.get("127.0.0.2", &credential).await.status, 404);
    let asked = lab.source.asked().into_iter().filter(|arn| arn.ends_with("/payments-a")).count();
    assert_eq!(asked, 1, "the old pod's role was fetched again");
}

#[tokio::test]
async fn a_pod_past_its_grace_period_is_not_identified_even_without_another_event() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    let before = lab.at("127.0.0.2").unwrap();
    let ends = humantime::format_rfc3339_seconds(SystemTime::now() + Duration::from_secs(2)).to_string();
    lab.api.edit(Kind::Pods, "payments", "a", |pod| {
        pod["metadata"]["deletionTimestamp"] = json!(ends);
        pod["metadata"]["annotations"][OWN] = json!("payments-last");
    });
    until_another(&lab, "127.0.0.2", &before).await;
    lab.until_at("127.0.0.2", None).await;
}
