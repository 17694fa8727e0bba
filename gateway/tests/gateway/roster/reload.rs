//! Policy that begins to read fields that the roster has not stored.

use metagate::{
    config::{Mode, Plugin as Settings, PluginCode},
    plugin::Plugin,
    policy::Rules,
};
use metagate_plugin_artifacts::testing::HOSTILE;
use metagate_testkit::api_server::Fault;

use super::*;

async fn reads_labels(lab: &Lab) -> Plugin {
    reads(lab, json!({ "labels": ["tier"] })).await
}

/// Denies with a list of the keys that it sees.
async fn reads(lab: &Lab, interest: Value) -> Plugin {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.wasm");
    std::fs::write(&path, HOSTILE).unwrap();
    let policy = &lab.gateway.gateway().policy;
    let settings = Settings {
        name: "own".into(),
        code: PluginCode::File { path, sha256: None },
        mode: Mode::Enforce,
        config: json!({ "on": "authorize", "do": "echo", "interest": interest }),
        ..policy.rules().plugins[0].settings().clone()
    };
    Plugin::load(policy.host(), settings).await.unwrap()
}

#[tokio::test]
async fn a_plugin_that_reads_more_is_asked_only_after_a_relist() {
    let mut labelled = pod("a", "127.0.0.2", "payments-a");
    labelled["metadata"]["labels"] = json!({ "tier": "trusted" });
    let lab = Lab::start(api(&[labelled]).await).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
    assert!(lab.at("127.0.0.2").unwrap().workload.labels.is_empty());
    let reader = reads_labels(&lab).await;
    lab.api.set_fault(Kind::Pods, Fault::Status(503));
    let listed = lab.api.asked_for(Kind::Pods, false).len();
    lab.gateway.gateway().policy.replace(|rules| {
        let plugins = rules.plugins.iter().cloned().chain([reader.clone()]).collect();
        Rules::new(plugins, rules.defaults.clone())
    });
    lab.until_api("pods are listed again", |api| api.asked_for(Kind::Pods, false).len() > listed).await;
    let reply = lab.get("127.0.0.2", ROLE).await;
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")), "{}", reply.text());

    lab.api.set_fault(Kind::Pods, Fault::None);
    lab.until("labels are stored", |_| lab.at("127.0.0.2").is_some_and(|pod| pod.workload.labels.contains_key("tier")))
        .await;
    let reply = lab.get("127.0.0.2", ROLE).await;
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("tier"), "{}", reply.text());
}

#[tokio::test]
async fn a_plugin_that_reads_images_has_them_stored_and_a_changed_one_is_another_workload() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    let before = lab.at("127.0.0.2").unwrap();
    assert!(before.workload.images.is_empty(), "nobody reads images yet");
    let reader = reads(&lab, json!({ "attributes": ["image/*"] })).await;
    let interest = reader.interest().clone();
    assert!(!before.workload.covers(&interest));
    lab.gateway.gateway().policy.replace(|rules| {
        let plugins = rules.plugins.iter().cloned().chain([reader.clone()]).collect();
        Rules::new(plugins, rules.defaults.clone())
    });
    lab.until("images are stored", |_| lab.at("127.0.0.2").is_some_and(|pod| pod.workload.covers(&interest))).await;
    let stored = lab.at("127.0.0.2").unwrap();
    assert_eq!(stored.workload.images.get("c").unwrap(), "i");
    let reply = lab.get("127.0.0.2", ROLE).await;
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("attributes[image/c]"), "{}", reply.text());

    lab.api.edit(Kind::Pods, "payments", "a", |pod| {
        pod["spec"]["containers"][0]["image"] = json!("other");
        pod["spec"]["ephemeralContainers"] = json!([{ "name": "debugger", "image": "busybox" }]);
    });
    lab.until("the new images are known", |_| lab.at("127.0.0.2").is_some_and(|pod| pod.workload.images.len() == 2))
        .await;
    let after = lab.at("127.0.0.2").unwrap();
    assert_eq!(
        (after.workload.images.get("c").unwrap().as_str(), after.workload.images.get("debugger").unwrap().as_str()),
        ("other", "busybox")
    );
    assert!(!Arc::ptr_eq(&stored, &after) && !after.workload.is_same_as(&stored.workload));
    let reply = lab.get("127.0.0.2", ROLE).await;
    assert!(reply.text().contains("attributes[image/c,image/debugger]"), "{}", reply.text());
}

#[tokio::test]
async fn rules_that_were_announced_take_over_without_refusing_anybody() {
    let mut labelled = pod("a", "127.0.0.2", "payments-a");
    labelled["metadata"]["labels"] = json!({ "tier": "trusted" });
    let lab = Lab::start(api(&[labelled]).await).await;
    let reader = reads_labels(&lab).await;
    let policy = &lab.gateway.gateway().policy;
    let rules = policy.rules();
    let next = Rules::new(rules.plugins.iter().cloned().chain([reader]).collect(), rules.defaults.clone());
    lab.api.set_fault(Kind::Pods, Fault::Status(503));
    let listed = lab.api.asked_for(Kind::Pods, false).len();
    policy.announce(Some(&next));
    lab.until_api("pods are listed again", |api| api.asked_for(Kind::Pods, false).len() > listed).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()), "the old rules still decide");
    assert!(!next.can_read(&lab.at("127.0.0.2").unwrap().workload));

    lab.api.set_fault(Kind::Pods, Fault::None);
    lab.until("enough is known", |_| lab.at("127.0.0.2").is_some_and(|pod| next.can_read(&pod.workload))).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
    policy.replace(|_| next.clone());
    assert_eq!(lab.role("127.0.0.2").await, Err(403), "the new rules decide at once");
}
