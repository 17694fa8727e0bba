//! What happens to a role that a plugin names: the gateway asks AWS for it, or refuses it with the reason.

use std::time::Duration;

use metagate::roster::Entry;
use metagate::{
    policy::{Defaults, Rejection, Rules},
    refusal::Refusal,
    role::CredentialSource,
    workload::{Uid, Workload},
};
use serde_json::{Value, json};

use super::{
    bench::{BASE, Bench, defaults},
    guests::three,
    pods::{allow, pod, role, role_with},
};

fn asking(role: Value) -> Workload {
    pod(&[("first", role_with(role)), ("second", allow())])
}

fn numbered(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("team-{number}"), "x".into())).collect()
}

#[tokio::test]
async fn every_field_of_a_plugins_role_is_requested() {
    let written = json!({
        "arn": "arn:aws-cn:iam::210987654321:role/team/web",
        "session_name": "web@eu",
        "external_id": "partner:42",
        "duration_seconds": 900,
        "tags": [["team", "web"]],
        "session_policy": "{}",
        "policy_arns": ["arn:aws-cn:iam::aws:policy/ReadOnlyAccess"],
    });
    let grant = Bench::new(three().await).grant(asking(written)).await.unwrap();
    let role = grant.role();
    assert_eq!(role.arn.as_str(), "arn:aws-cn:iam::210987654321:role/team/web");
    assert_eq!((role.session_name.as_str(), role.external_id.as_deref()), ("web@eu", Some("partner:42")));
    assert_eq!((role.duration, role.session_policy.as_deref()), (Duration::from_secs(900), Some("{}")));
    assert_eq!(role.tags, [("team".to_owned(), "web".to_owned())].into());
    assert_eq!(role.policy_arns, ["arn:aws-cn:iam::aws:policy/ReadOnlyAccess"]);
    assert_eq!(role.source, CredentialSource::AssumeRole);
}

#[tokio::test]
async fn the_configuration_fills_in_what_a_plugin_leaves_open() {
    let grant = Bench::new(three().await).grant(asking(json!({ "arn": "team/web" }))).await.unwrap();
    let role = grant.role();
    assert_eq!(role.arn.as_str(), format!("{BASE}team/web"));
    assert_eq!((role.session_name.as_str(), role.duration), ("payments.checkout-0", Duration::from_secs(3600)));
    assert!(role.external_id.is_none() && role.tags.is_empty() && role.session_policy.is_none());
}

#[tokio::test]
async fn a_role_that_aws_would_refuse_is_denied_with_the_reason() {
    let bench = Bench::new(three().await);
    let (long_policy, long_id, long_name) = ("p".repeat(2049), "i".repeat(1225), "n".repeat(65));
    for (field, value, reason) in [
        ("arn", json!("no role"), "role `no role`"),
        ("arn", json!("arn:aws:iam::123:role/web"), "role `arn:aws:iam::123:role/web`"),
        ("arn", json!(""), "role ``"),
        ("session_name", json!("a:b"), "session name `a:b` is not 2 to 64"),
        ("session_name", json!(long_name), "is not 2 to 64"),
        ("external_id", json!("x"), "external id is not 2 to 1224"),
        ("external_id", json!("a\nb"), "external id is not 2 to 1224"),
        ("external_id", json!(long_id), "external id is not 2 to 1224"),
        ("duration_seconds", json!(899), "session duration of 899 s is not between 900 and 43200"),
        ("duration_seconds", json!(43_201), "session duration of 43201 s is not between 900 and 43200"),
        ("tags", json!(numbered(51)), "more than 50 session tags"),
        ("tags", json!([["", "x"]]), "session tag `` is empty or too long"),
        ("tags", json!([["k".repeat(129), "x"]]), "is empty or too long"),
        ("tags", json!([["team", "v".repeat(257)]]), "session tag `team` is empty or too long"),
        ("tags", json!([["team", "a\u{1b}[2J"]]), "session tag `team` holds more than letters"),
        ("tags", json!([["te<am", "x"]]), "session tag `te<am` holds more than letters"),
        ("session_policy", json!(long_policy), "session policy is longer than 2048"),
        ("session_policy", json!(""), "session policy is empty"),
        ("session_policy", json!("日"), "not of Latin-1"),
        ("policy_arns", json!(["ReadOnlyAccess"]), "policy ARN `ReadOnlyAccess` is not 20 to 2048"),
        ("policy_arns", json!(vec!["arn:aws:iam::aws:policy/A"; 11]), "more than 10 session policy ARNs"),
    ] {
        let mut written = json!({ "arn": "web" });
        written[field] = value;
        let denial = bench.denied(asking(written)).await;
        assert_eq!((denial.by.as_str(), denial.code.as_str()), ("first", "invalid-role"), "{field}");
        assert!(denial.reason.contains(reason), "{reason:?} is not in: {}", denial.reason);
        assert!(denial.reason.len() < 200, "{}", denial.reason);
    }
}

#[tokio::test]
async fn values_at_the_bounds_are_accepted() {
    let bench = Bench::new(three().await);
    for (field, value) in [
        ("session_name", json!("n".repeat(64))),
        ("external_id", json!("i".repeat(1224))),
        ("duration_seconds", json!(43_200)),
        ("tags", json!(numbered(50))),
        ("tags", json!([["k".repeat(128), "v".repeat(256)]])),
        ("session_policy", json!("p".repeat(2048))),
        ("policy_arns", json!(vec!["arn:aws:iam::aws:policy/A"; 10])),
    ] {
        let mut written = json!({ "arn": "web" });
        written[field] = value;
        bench.granted(asking(written)).await;
    }
}

#[tokio::test]
async fn a_web_identity_session_carries_no_tags() {
    let bench = Bench::new(three().await);
    let tagged = json!({ "arn": "web", "web_identity": "sts.amazonaws.com", "tags": [["team", "web"]] });
    let denial = bench.denied(asking(tagged)).await;
    assert_eq!(
        (denial.code.as_str(), denial.reason.as_str()),
        ("invalid-role", "a web identity session cannot carry tags")
    );

    let tagging = Bench::under(three().await, Defaults { session_tags: true, ..defaults() });
    let untagged = asking(json!({ "arn": "web", "web_identity": "sts.amazonaws.com" }));
    assert!(tagging.grant(untagged).await.unwrap().role().tags.is_empty());
}

/// The pod's owner cannot fix this: the plugin asks for a source that this gateway does not have.
#[tokio::test]
async fn pod_identity_is_a_failure_of_the_plugin() {
    let fault = Bench::new(three().await).failed(asking(json!({ "arn": "web", "pod_identity": true }))).await;
    assert_eq!(fault.plugin, "first");
    assert!(fault.detail.contains("pod-identity") && fault.detail.contains("no source for"), "{}", fault.detail);
}

#[tokio::test]
async fn no_plugin_can_forge_the_tags_that_name_the_pod() {
    let bench = Bench::under(three().await, Defaults { session_tags: true, ..defaults() });
    let forged = json!([["kubernetes-namespace", "kube-system"], ["kubernetes-pod-uid", "root"], ["team", "web"]]);
    let grant = bench.grant(asking(json!({ "arn": "web", "tags": forged }))).await.unwrap();
    let uid = Uid::derived("payments", "checkout-0");
    let expected = [
        ("kubernetes-namespace", "payments"),
        ("kubernetes-pod-name", "checkout-0"),
        ("kubernetes-pod-uid", uid.as_str()),
        ("kubernetes-service-account", "checkout"),
        ("team", "web"),
    ];
    assert_eq!(grant.role().tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

/// The pod's own tags count too.
#[tokio::test]
async fn with_the_pods_own_tags_there_are_still_only_fifty() {
    let bench = Bench::under(three().await, Defaults { session_tags: true, ..defaults() });
    bench.granted(asking(json!({ "arn": "web", "tags": numbered(46) }))).await;
    assert_eq!(bench.denied(asking(json!({ "arn": "web", "tags": numbered(47) }))).await.code, "invalid-role");
}

#[tokio::test]
async fn a_short_name_waits_for_the_nodes_account_and_an_arn_does_not() {
    let bench = Bench::under(three().await, Defaults { base: None, ..defaults() });
    let arn = "arn:aws:iam::210987654321:role/web";
    assert_eq!(bench.granted(pod(&[("first", role(arn)), ("second", allow())])).await, arn);

    let short = Entry::from(pod(&[("first", role("web")), ("second", allow())]));
    for _ in 0..2 {
        let rejection = bench.policy.grant(short.principal()).await.unwrap_err().rejection;
        assert!(matches!(rejection, Rejection::BaseUnknown), "{rejection:?}");
        assert_eq!(Refusal::from(rejection).status(), http::StatusCode::SERVICE_UNAVAILABLE);
    }
    bench.policy.replace(|rules: &Rules| rules.with_base(BASE.parse().unwrap()));
    assert_eq!(bench.policy.grant(short.principal()).await.unwrap().grant.role().arn.as_str(), format!("{BASE}web"));
    assert_eq!(bench.worked_out(), ["granted", "base-unknown", "base-unknown", "granted"]);
}
