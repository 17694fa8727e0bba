//! Audit mode: what policy would refuse is granted, counted, and shown.

use metagate::roster::Entry;
use metagate::workload::Workload;
use metagate_plugin_artifacts::testing::HOSTILE;
use serde_json::{Value, json};

use super::{admin::look, *};

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
const REGION: &str = "/latest/meta-data/placement/region";

/// A gateway whose last plugin is a hostile one in audit mode, with these further keys.
async fn auditing_own(config: &str) -> TestGateway {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.wasm");
    std::fs::write(&path, HOSTILE).unwrap();
    let mut plugins: Vec<String> = ["annotations", "irsa-fallback", "namespace-regex"]
        .map(|name| format!("{{ name = \"{name}\", builtin = \"{name}\" }}"))
        .into();
    plugins.push(format!("{{ name = \"own\", path = {path:?}, mode = \"audit\", config = {config} }}"));
    setup().set("plugin", &format!("[{}]", plugins.join(", "))).start().await.unwrap()
}

async fn page(gateway: &TestGateway, path: &str) -> Value {
    serde_json::from_slice(&look(gateway, path).await.body).unwrap()
}

fn plugin<'a>(state: &'a Value, name: &str) -> &'a Value {
    state["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == name).unwrap()
}

fn workload<'a>(state: &'a Value, pod: &str) -> &'a Value {
    state["workloads"].as_array().unwrap().iter().find(|workload| workload["pod"] == pod).unwrap()
}

#[tokio::test]
async fn while_policy_is_audited_what_it_would_refuse_is_granted_and_reported() {
    let gateway = setup().set("policy.mode", "audit").start().await.unwrap();
    assert_eq!(get(&gateway, VISITOR, ROLE).await.text(), "payments-checkout");
    assert_eq!(get(&gateway, VISITOR, &format!("{ROLE}payments-checkout")).await.status, 200);
    assert_eq!(get(&gateway, IDLE, ROLE).await.status, 404, "there is no role that could be given");

    let state = page(&gateway, "/api/v1/state").await;
    assert_eq!(state["policy"]["mode"], "audit");
    let audited = workload(&state, "visitor-0")["audited"].as_array().unwrap();
    let by: Vec<_> = audited.iter().map(|answer| (answer["plugin"].as_str().unwrap(), &answer["phase"])).collect();
    let authorize = json!("authorize");
    assert_eq!(by, [("namespace-regex", &authorize), ("policy", &authorize)]);
    assert!(audited[0]["answer"].as_str().unwrap().starts_with("denies: role-not-permitted: "), "{audited:?}");
    assert_eq!(workload(&state, "checkout-0")["audited"], json!([]));
    assert_eq!(plugin(&state, "namespace-regex")["audited"], json!({ "role-not-permitted": 1 }));
    assert_eq!(plugin(&state, "namespace-regex")["denials"], json!({}));
    assert_eq!(state["policy"]["audited"], json!({ "nobody-allowed": 1 }));
    for (code, by) in [("role-not-permitted", "namespace-regex"), ("nobody-allowed", "policy")] {
        let series = format!(
            "metagate_policy_audited_total{{answer=\"deny\",code=\"{code}\",phase=\"authorize\",plugin=\"{by}\"}} 1"
        );
        until_metric(&gateway, &series).await;
    }
    let explained = page(&gateway, "/api/v1/explain?pod=guests/visitor-0").await;
    assert_eq!((explained["outcome"].as_str(), &explained["status"]), (Some("granted"), &json!(200)));
    let steps = explained["steps"].as_array().unwrap().iter().filter(|step| step["audited"] == true);
    assert_eq!(steps.count(), 2);
    let again = page(&gateway, "/api/v1/state").await;
    let counted = json!({ "role-not-permitted": 1 });
    assert_eq!(plugin(&again, "namespace-regex")["audited"], counted, "an explanation counts nothing");
}

#[tokio::test]
async fn an_enforced_denial_is_reported_as_one() {
    let gateway = gateway().await;
    assert_eq!(get(&gateway, VISITOR, ROLE).await.status, 403);
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.status, 200);
    let state = page(&gateway, "/api/v1/state").await;
    let regex = plugin(&state, "namespace-regex");
    assert_eq!((&regex["denials"], &regex["audited"]), (&json!({ "role-not-permitted": 1 }), &json!({})));
    assert!(regex["decisions"].as_u64().unwrap() > 1, "another pod was decided for too");
    assert!(regex["last_fault"].is_null());
}

#[tokio::test]
async fn an_audited_plugin_denies_nobody_a_path() {
    let gateway = auditing_own("{ on = \"authorize-path\", do = \"deny\", code = \"never\" }").await;
    assert_eq!(get(&gateway, CHECKOUT, REGION).await.status, 200);
    assert!(get(&gateway, CHECKOUT, "/latest/meta-data/").await.text().contains("placement/"));
    let series =
        "metagate_policy_audited_total{answer=\"deny\",code=\"never\",phase=\"authorize-path\",plugin=\"own\"}";
    until_metric(&gateway, series).await;
}

#[tokio::test]
async fn a_failure_of_an_audited_plugin_is_reported_with_its_time_and_text() {
    let gateway = auditing_own("{ on = \"authorize\", do = \"err\" }").await;
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.status, 200);
    let state = page(&gateway, "/api/v1/state").await;
    let own = plugin(&state, "own");
    assert_eq!(own["last_fault"]["text"], "failed: hostile: asked to fail");
    assert!(own["last_fault"]["at"].is_string());
    assert!(own["faults"]["failed"].as_u64().unwrap() > 0 && own["audited"] == own["faults"], "{own}");
    let checkout = workload(&state, "checkout-0");
    assert_eq!((&checkout["outcome"], &checkout["audited"][0]["plugin"]), (&json!("granted"), &json!("own")));
}

#[tokio::test]
async fn a_plugin_with_a_thousand_codes_makes_thirty_three_series() {
    let gateway = auditing_own("{ script = \"own\" }").await;
    for number in 0..1000 {
        let script = json!({ "on": "authorize", "do": "deny", "code": format!("c{number}") }).to_string();
        let [role, own] = [("iam.amazonaws.com/role", "payments-checkout"), ("own", &script)];
        let permitted = ("iam.amazonaws.com/permitted".to_owned(), ".*".to_owned());
        let pod = Workload {
            namespace: "payments".into(),
            pod: format!("pod-{number}"),
            annotations: [role, own].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            namespace_annotations: [permitted].into(),
            ..Workload::default()
        };
        gateway.gateway().policy.grant(Entry::from(pod).principal()).await.unwrap();
    }
    let metrics = look(&gateway, "/metrics").await.text();
    let series: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("metagate_policy_audited_total{") && line.contains("plugin=\"own\""))
        .collect();
    assert_eq!(series.len(), 33, "{series:#?}");
    assert!(series.iter().any(|line| line.contains("code=\"other\"") && line.ends_with(" 968")), "{series:#?}");
    let state = page(&gateway, "/api/v1/state").await;
    assert_eq!(plugin(&state, "own")["audited"].as_object().unwrap().len(), 33);
}
