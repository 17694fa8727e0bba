//! Malformed objects, and pods that share an address.

use super::*;

/// Whether the API server has an Event of that reason about that pod.
fn has_event(api: &ApiServer, pod: &str, reason: &str) -> bool {
    api.events().iter().any(|event| event["regarding"]["name"] == pod && event["reason"] == reason)
}

#[tokio::test]
async fn a_pod_that_cannot_be_read_gets_nothing_and_one_event_and_harms_nobody() {
    let mut wrong_type = pod("wrong-type", "127.0.0.3", "payments-b");
    wrong_type["status"]["podIPs"] = json!("127.0.0.3");
    let mut bad_address = pod("bad-address", "127.0.0.256", "payments-b");
    bad_address["status"]["podIP"] = json!("127.0.0.4");
    let mut no_uid = pod("no-uid", "127.0.0.5", "payments-b");
    no_uid["metadata"].as_object_mut().unwrap().remove("uid");
    let mut no_uid_either = no_uid.clone();
    no_uid_either["metadata"]["name"] = json!("no-uid-either");
    let pods = [pod("a", "127.0.0.2", "payments-a"), wrong_type, bad_address, no_uid, no_uid_either];
    let lab = Lab::with(api(&pods).await, |setup| setup.set("roster.wait", "10ms")).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
    for nobody in ["127.0.0.3", "127.0.0.4", "127.0.0.5"] {
        assert_eq!(lab.role(nobody).await, Err(503), "{nobody}");
    }
    let broken = ["wrong-type", "bad-address", "no-uid", "no-uid-either"];
    lab.until_api("an Event each", |api| broken.iter().all(|pod| has_event(api, pod, "PodMalformed"))).await;
    assert_eq!(lab.api.events().len(), broken.len());

    // A pod that becomes malformed loses its role; one that becomes valid gets it.
    lab.api.edit(Kind::Pods, "payments", "a", |pod| pod["metadata"]["labels"] = json!({ "tier": "x" }));
    lab.api.edit(Kind::Pods, "payments", "a", |pod| pod["spec"]["hostNetwork"] = json!("no"));
    lab.api.put(Kind::Pods, pod("wrong-type", "127.0.0.3", "payments-b"));
    lab.until_at("127.0.0.2", None).await;
    lab.until_at("127.0.0.3", Some("wrong-type")).await;
    assert_eq!(lab.role("127.0.0.3").await, Ok("payments-b".into()));
}

#[tokio::test]
async fn two_live_pods_on_one_address_get_nothing_and_both_have_an_event() {
    let pods = [pod("old", "127.0.0.2", "payments-a"), pod("new", "127.0.0.2", "payments-a")];
    let lab = Lab::with(api(&pods).await, |setup| setup.set("roster.wait", "10ms")).await;
    assert_eq!(lab.role("127.0.0.2").await, Err(503));
    lab.until_api("both have an Event", |api| ["old", "new"].iter().all(|pod| has_event(api, pod, "AddressShared")))
        .await;
    for event in lab.api.events() {
        let note = event["note"].as_str().unwrap();
        assert!(note.contains("127.0.0.2") && !note.contains("old") && !note.contains("new"), "{note}");
    }
    lab.api.edit(Kind::Pods, "payments", "old", |pod| pod["status"]["phase"] = json!("Succeeded"));
    lab.until_at("127.0.0.2", Some("new")).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
}

#[tokio::test]
async fn a_pod_whose_namespace_is_not_known_yet_still_claims_its_address() {
    let lab =
        Lab::with(api(&[pod("old", "127.0.0.2", "payments-a")]).await, |setup| setup.set("roster.wait", "10ms")).await;
    let mut newcomer = pod("new", "127.0.0.2", "guests-a");
    newcomer["metadata"]["namespace"] = json!("guests");
    lab.api.put(Kind::Pods, newcomer);
    lab.until_at("127.0.0.2", None).await;
    assert_eq!(lab.role("127.0.0.2").await, Err(503));
    lab.api.put(Kind::Namespaces, namespace("guests", ".*:role/guests-.*"));
    lab.api.put(Kind::ServiceAccounts, account("guests", "default", json!({})));
    lab.api.delete(Kind::Pods, "payments", "old");
    lab.until_at("127.0.0.2", Some("new")).await;
}

#[tokio::test]
async fn a_pod_on_the_node_s_own_network_gets_nothing() {
    let mut on_host = pod("on-host", "127.0.0.2", "payments-a");
    on_host["spec"]["hostNetwork"] = json!(true);
    let mut at_host = pod("at-host", "127.0.0.3", "payments-a");
    at_host["status"]["hostIP"] = json!("127.0.0.3");
    let lab = Lab::with(api(&[on_host, at_host]).await, |setup| setup.set("roster.wait", "10ms")).await;
    for nobody in ["127.0.0.2", "127.0.0.3"] {
        assert_eq!(lab.role(nobody).await, Err(503), "{nobody}");
    }
    assert_eq!(lab.source.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pod_is_known_by_each_of_its_addresses_and_by_ipv6_too() {
    let mut dual = pod("dual", "10.0.0.2", "payments-a");
    dual["status"]["podIPs"] = json!([{ "ip": "10.0.0.2" }, { "ip": "0:0:0:0:0:0:0:1" }]);
    let lab = Lab::with(api(&[dual]).await, |setup| setup.set("pods.listen", "[::1]:0")).await;
    assert_eq!(lab.at("10.0.0.2").unwrap().workload.pod, "dual");
    assert_eq!(lab.role("::1").await, Ok("payments-a".into()));
}
