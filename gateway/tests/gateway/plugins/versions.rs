//! Plugins for this version of the interface, for other versions, and for this one as it was frozen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use metagate::roster::Entry;
use metagate::{
    config,
    pairs::Pairs,
    plugin::{INTERFACE, LoadError, Plugin, PluginErrorKind},
    policy::Rejection,
    role::CredentialSource,
    workload::{Uid, Workload},
};
use metagate_plugin_artifacts::testing::{FROZEN, NEWER_MINOR, NEWER_MINOR_CALLS, NEXT_MAJOR};
use serde_json::json;
use tokio::sync::OnceCell;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::{
    bench::{self, BASE, Bench},
    guests::load,
    pods::pod,
};

const TODAY: &str = include_str!("../../../../plugin-sdk/wit/policy.wit");
const ONCE: &str = include_str!("../../../../plugins/testing/frozen/wit/policy.wit");

/// The plugin that was built for the frozen interface.
async fn frozen() -> Plugin {
    static FROZEN_GUEST: OnceCell<Plugin> = OnceCell::const_new();
    let clocked = |guest| config::Plugin { clock: true, ..guest };
    FROZEN_GUEST.get_or_init(async || load(FROZEN, clocked).await.unwrap()).await.clone()
}

/// A pod with an entry in each list that plugins may see. It tells the frozen guest what to do.
fn asking(action: &str) -> Workload {
    let pair = |key: &str, value: &str| Pairs::from([(key.to_owned(), value.to_owned())]);
    Workload {
        uid: Uid::new("u-1"),
        node: "node-a".into(),
        ips: ["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).into(),
        labels: pair("label", "1"),
        annotations: pair("do", action),
        namespace_labels: pair("namespace-label", "2"),
        namespace_annotations: pair("namespace-annotation", "3"),
        service_account_annotations: pair("service-account-annotation", "4"),
        images: pair("app", "shop:5"),
        ..pod(&[])
    }
}

async fn refusal(wasm: &[u8]) -> LoadError {
    load(wasm, |guest| guest).await.map(|_| "loaded").unwrap_err()
}

#[tokio::test]
async fn a_plugin_of_the_frozen_interface_is_shown_every_field_of_a_workload() {
    let denied = Bench::new([frozen().await]).denied(asking("resolve-deny")).await;
    let (before, after) = denied.reason.split_once(r#"("now", ""#).unwrap();
    assert_eq!(
        before,
        r#"Workload { namespace: "payments", pod: "checkout-0", uid: "u-1", service-account: "checkout", node: "node-a", ips: ["10.0.0.1", "fd00::1"], labels: [("label", "1")], annotations: [("do", "resolve-deny")], namespace-labels: [("namespace-label", "2")], namespace-annotations: [("namespace-annotation", "3")], service-account-annotations: [("service-account-annotation", "4")], attributes: [("image/app", "shop:5"), "#
    );
    let (now, end) = after.split_at("2026-11-25T09:00:00Z".len());
    assert!(humantime::parse_rfc3339(now).is_ok(), "{now}");
    assert_eq!((end, denied.code.as_str()), (r#"")] }"#, "frozen"));
}

#[tokio::test]
async fn every_field_of_its_role_is_used_and_comes_back_to_it() {
    let bench = Bench::new([frozen().await]);
    let grant = bench.grant(asking("all")).await.unwrap();
    let role = grant.role();
    assert_eq!(role.arn.as_str(), format!("{BASE}frozen/web"));
    assert_eq!((role.session_name.as_str(), role.external_id.as_deref()), ("frozen-session", Some("frozen-id")));
    assert_eq!((role.duration, role.session_policy.as_deref()), (Duration::from_secs(900), Some("{}")));
    assert_eq!(role.tags, [("tag".to_owned(), "x".to_owned())].into());
    assert_eq!(role.policy_arns, ["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    assert_eq!(role.source, CredentialSource::AssumeRole);

    let reason = bench.denied(asking("authorize-deny")).await.reason;
    assert_eq!(
        reason,
        r#"Role { arn: "arn:aws:iam::123456789012:role/frozen/web", source: CredentialSource::AssumeRole, session-name: Some("frozen-session"), external-id: Some("frozen-id"), duration-seconds: Some(900), tags: [("tag", "x")], session-policy: Some("{}"), policy-arns: ["arn:aws:iam::aws:policy/ReadOnlyAccess"], attributes: [("as-written", "frozen/web"), ("base-arn", "arn:aws:iam::123456789012:role/")] }"#
    );

    let grant = bench.grant(asking("web-identity")).await.unwrap();
    let audience = "frozen-audience".to_owned();
    assert_eq!(grant.role().source, CredentialSource::WebIdentity { audience, regional: false });
}

#[tokio::test]
async fn every_answer_of_it_is_understood() {
    let bench = Bench::new([frozen().await]);
    assert!(matches!(bench.grant(asking("resolve-abstain")).await, Err(Rejection::NoRole)));
    assert_eq!(bench.denied(asking("authorize-abstain")).await.code, "nobody-allowed");
    for action in ["resolve-err", "authorize-err"] {
        let fault = bench.failed(asking(action)).await;
        assert_eq!((fault.kind, fault.detail.as_str()), (PluginErrorKind::Error, "frozen: asked to fail"));
    }
    let fault = bench.failed(asking("pod-identity")).await;
    assert_eq!(fault.kind, PluginErrorKind::Answer, "there is no source for it yet: {fault}");

    let admit = async |action: &str| {
        let admitted = bench.policy.admit(Entry::from(asking(action)).principal(), "meta-data/hostname").await;
        admitted.map_err(|rejected| rejected.rejection)
    };
    assert!(admit("path-allow").await.is_ok() && admit("path-abstain").await.is_ok());
    assert_eq!(bench::denial(admit("path-deny").await.unwrap_err()).reason, "meta-data/hostname");
    assert_eq!(bench::fault(admit("path-err").await.unwrap_err()).kind, PluginErrorKind::Error);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<tracing::Level>>>);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "metagate::plugin" {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
    }
}

#[tokio::test]
async fn it_starts_with_its_configuration_and_logs_at_every_level() {
    use tracing::Level;
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(lines.clone());
    let _here = crate::log_capture::capture(subscriber);
    let config = json!({ "refuse": true });
    let refusal = load(FROZEN, |guest| config::Plugin { config, ..guest }).await.map(|_| "loaded").unwrap_err();
    assert!(refusal.to_string().contains("frozen: asked to refuse"), "{refusal}");
    assert_eq!(*lines.0.lock().unwrap(), [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]);
}

#[tokio::test]
async fn a_plugin_of_a_later_version_runs_where_it_uses_nothing_new() {
    let bench = Bench::new([load(NEWER_MINOR, |guest| guest).await.unwrap()]);
    let denial = bench.denied(asking("")).await;
    assert_eq!((denial.code.as_str(), denial.reason.as_str()), ("newer", "not for checkout-0"));
}

#[tokio::test]
async fn a_plugin_that_needs_what_a_later_version_brought_is_refused_with_that_version() {
    let refusal = refusal(NEWER_MINOR_CALLS).await.to_string();
    let wanted = format!(
        "plugin guest: built for metagate:policy@0.1.999, and needs more of it than this gateway's {INTERFACE} has: "
    );
    assert!(refusal.starts_with(&wanted) && refusal.contains("`metric`"), "{refusal}");
    assert!(refusal.ends_with("(rebuild it for 0.1.0, or take a gateway that has 0.1.999)"), "{refusal}");
}

#[tokio::test]
async fn a_plugin_of_another_line_of_versions_is_refused_with_both_versions() {
    assert_eq!(
        refusal(NEXT_MAJOR).await.to_string(),
        "plugin guest: built for metagate:policy@0.2.0; this gateway has 0.1.0 and runs plugins of 0.1: rebuild it, or \
         take a gateway that has 0.2"
    );
}

#[test]
fn the_gateway_has_the_version_that_the_interface_says() {
    assert_eq!(version_of(TODAY), INTERFACE);
    assert_eq!(version_of(ONCE), "0.1.0");
}

#[test]
fn the_interface_differs_from_the_frozen_one_only_as_its_version_allows() {
    assert_eq!(allowed(ONCE, TODAY), Ok(()));
}

/// Tests the check itself: an edit of each kind, with and without the version that it requires.
#[test]
fn a_change_that_breaks_old_plugins_requires_another_line_of_versions() {
    let now = |version: &str| ONCE.replace("policy@0.1.0", &format!("policy@{version}"));
    let more = |text: String, after: &str, line: &str| text.replace(after, &format!("{after}\n  {line}"));
    let comment = |text| more(text, "interface plugin {", "// Another word.");
    let function = |text| more(text, "interface host {", "metric: func(name: string);");
    let field = |text| more(text, "record workload {", "zone: string,");
    for (today, may) in [
        (comment(now("0.1.0")), true),
        (function(now("0.1.0")), false),
        (function(now("0.1.1")), true),
        (function(now("0.0.9")), false),
        (field(now("0.1.1")), false),
        (field(now("0.2.0")), true),
        (now("0.1.1").replace("  log: func(level: level, message: string);", ""), false),
    ] {
        assert_eq!(allowed(ONCE, &today).is_ok(), may, "{:?}\n{today}", allowed(ONCE, &today));
    }
}

fn version_of(wit: &str) -> &str {
    let package = wit.lines().find_map(|line| line.strip_prefix("package metagate:policy@"));
    package.and_then(|version| version.strip_suffix(';')).unwrap()
}

fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|number| number.parse().unwrap()).collect()
}

/// The numbers up to the first that is not zero: compatible versions have them in common.
fn line(version: &str) -> Vec<u64> {
    let numbers = numbers(version);
    let zeros = numbers.iter().take_while(|number| **number == 0).count();
    numbers.into_iter().take(zeros + 1).collect()
}

/// The lines of each interface and of the world, without comments.
fn parts(wit: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut part = "";
    for line in wit.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//")) {
        if line.starts_with("interface ") || line.starts_with("world ") {
            part = line;
        }
        if !line.starts_with("package ") {
            parts.entry(part).or_default().push(line.trim());
        }
    }
    parts
}

/// The rules of `plugin-sdk/VERSIONS.md`.
fn allowed(once: &str, today: &str) -> Result<(), String> {
    const HOST: &str = "interface host {";
    let (old, new) = (version_of(once), version_of(today));
    let (mut before, mut after) = (parts(once), parts(today));
    if before == after {
        return Ok(());
    }
    if numbers(new) <= numbers(old) {
        return Err(format!("the interface differs from the frozen {old}, and is no later version of it: {new}"));
    }
    if line(new) != line(old) {
        return Ok(());
    }
    let (before_host, after_host) = (before.remove(HOST), after.remove(HOST));
    if before != after {
        return Err(format!("{new} differs from the frozen {old} outside of `host`: old plugins will not load"));
    }
    let gone = before_host.unwrap_or_default().into_iter().find(|line| !after_host.iter().flatten().any(|l| l == line));
    gone.map_or(Ok(()), |line| Err(format!("{new} lacks what `host` of the frozen {old} has: {line}")))
}
