//! Events: where a person looks to learn why a pod has no credentials.

use serde_json::Value;

use super::{
    lab::Lab,
    pod::{Cni, Pod},
    process::Ended,
    wait::until_some,
};

#[tokio::test]
async fn a_denied_pod_has_an_event_that_kubectl_shows() {
    let Some(lab) = Lab::start().await else { return };
    let _gateway = lab.guard().await;
    let intruder = Pod::new("guests", "intruder", "10.0.1.5").with_role("payments-checkout");
    let inside = lab.run(&intruder, Cni::AmazonVpc).await;
    assert_eq!(inside.who_am_i().await, None);

    let event = until_some("an event of the denied pod", async || {
        let events = lab.api().get("/api/v1/namespaces/guests/events").await;
        events["items"].as_array().unwrap().iter().find(|event| event["involvedObject"]["name"] == "intruder").cloned()
    })
    .await;
    assert_eq!(event["type"], "Warning", "{event}");
    assert_eq!(event["involvedObject"]["kind"], "Pod", "{event}");
    let (reason, message) = (word(&event["reason"]), word(&event["message"]));
    assert!(message.contains("payments-checkout"), "which role was asked for: {message}");

    let described = lab.cluster.kubectl(["describe", "pod", "intruder", "--namespace=guests"]).await;
    assert!(shows(&described, reason, message), "{described:?}");
    let got = lab.cluster.kubectl(["get", "events", "--namespace=guests"]).await;
    assert!(shows(&got, reason, message), "{got:?}");
}

fn word(value: &Value) -> &str {
    let word = value.as_str().unwrap();
    assert!(!word.is_empty());
    word
}

fn shows(ended: &Ended, reason: &str, message: &str) -> bool {
    ended.status.success() && ended.stdout.contains(reason) && ended.stdout.contains(message)
}
