//! When plugins are asked again, and when a decision is cached.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use metagate::roster::Entry;
use metagate::{
    clock::Clock,
    config,
    policy::{Rejection, Rules},
    workload::{Uid, Workload},
};
use tokio::{task::JoinSet, time::advance};

use super::{
    bench::{Bench, defaults},
    guests::{echo, host, scripted, three},
    pods::{again, allow, annotated, deny, does, harmless, labelled, pod, role, running},
};

/// The outcomes of the decisions that were made while the pods asked, one after the other.
async fn asked(bench: &Bench, pods: &[&Entry]) -> Vec<&'static str> {
    for pod in pods {
        let _ = bench.policy.grant(pod.principal()).await;
    }
    bench.worked_out()
}

#[tokio::test]
async fn a_pod_is_decided_once() {
    let bench = Bench::new(three().await);
    let pod = Entry::from(harmless());
    assert_eq!(asked(&bench, &[&pod, &pod, &pod]).await, ["granted"]);
    // The grant comes from the workload's decision cell, not from a look-up of the decision's inputs.
    assert!(pod.decision.last_final().is_some());
}

#[tokio::test]
async fn a_denial_is_cached_like_a_grant() {
    let bench = Bench::new(three().await);
    let denied = Entry::from(pod(&[("first", deny("resolve", "never"))]));
    let without_role = Entry::from(pod(&[]));
    let pods = [&denied, &denied, &without_role, &without_role];
    assert_eq!(asked(&bench, &pods).await, ["denied", "no-role"]);
}

#[tokio::test]
async fn a_pod_that_is_read_again_is_not_decided_again() {
    let bench = Bench::new(three().await);
    let pod = Entry::from(harmless());
    assert_eq!(asked(&bench, &[&pod, &again(&pod.workload), &again(&pod.workload)]).await, ["granted"]);
}

#[tokio::test]
async fn a_change_that_no_plugin_reads_causes_no_decision() {
    let bench = Bench::new(three().await);
    let pods = [
        Entry::from(harmless()),
        Entry::from(labelled(harmless(), "pod-template-hash", "5d9c")),
        Entry::from(annotated(harmless(), "kubectl.kubernetes.io/restartedAt", "today")),
    ];
    assert_eq!(asked(&bench, &pods.each_ref()).await, ["granted"]);
}

#[tokio::test]
async fn a_change_to_what_a_plugin_reads_causes_a_decision_at_once() {
    let bench = Bench::new(three().await);
    bench.granted(harmless()).await;
    bench.granted(labelled(harmless(), "tier", "trusted")).await;
    let other_role = || pod(&[("first", role("db")), ("second", allow())]);
    assert!(bench.granted(other_role()).await.ends_with("role/db"));
    let no_more = pod(&[("first", role("db")), ("second", deny("authorize", "revoked"))]);
    assert_eq!(bench.denied(no_more).await.code, "revoked");
    assert_eq!(bench.worked_out(), ["granted", "granted", "granted", "denied"]);
}

#[tokio::test]
async fn a_changed_image_causes_a_decision_if_a_plugin_reads_it() {
    let bench = Bench::new([echo().await]);
    let of = |app: &str, proxy: &str| Entry::from(running(running(pod(&[]), "app", app), "proxy", proxy));
    let before = of("shop:1", "mesh:1");
    assert_eq!(asked(&bench, &[&before, &of("shop:1", "mesh:2")]).await.len(), 1, "no plugin reads the proxy's image");
    assert!(!before.workload.is_same_as(&of("shop:2", "mesh:1").workload), "the roster would keep the old value");
    assert_eq!(asked(&bench, &[&of("shop:2", "mesh:1")]).await.len(), 2);
}

#[tokio::test]
async fn a_grant_is_never_another_pods_however_alike_they_are() {
    let bench = Bench::new(three().await);
    let born_again = || Workload { uid: Uid::new("another"), ..harmless() };
    let (one, other) = (bench.grant(harmless()).await.unwrap(), bench.grant(born_again()).await.unwrap());
    assert_eq!((one.uid(), other.uid()), (&harmless().uid, &born_again().uid));
    assert_eq!(bench.worked_out(), ["granted", "granted"]);
}

#[tokio::test]
async fn new_rules_make_every_old_decision_void() {
    let bench = Bench::new(three().await);
    let pod = Entry::from(harmless());
    let changes = bench.policy.changes();
    bench.policy.grant(pod.principal()).await.unwrap();
    assert!(!changes.has_changed().unwrap());

    bench.policy.replace(Rules::clone);
    assert!(changes.has_changed().unwrap());
    assert_eq!(asked(&bench, &[&pod, &again(&pod.workload)]).await, ["granted", "granted"]);

    // The plugin that allowed it is gone.
    let [first, ..] = three().await;
    bench.policy.replace(|_| Rules::new(vec![first.clone()], defaults()));
    assert!(matches!(bench.policy.grant(pod.principal()).await.unwrap_err().rejection, Rejection::Denied(_)));
}

#[tokio::test]
async fn each_path_is_decided_separately_and_once() {
    let bench = Bench::new(three().await);
    let pod = Entry::from(pod(&[("first", deny("authorize-path", "never"))]));
    for path in ["meta-data/instance-id", "meta-data/instance-id", "meta-data/placement/region"] {
        assert!(bench.policy.admit(pod.principal(), path).await.is_err());
    }
    assert_eq!(bench.worked_out(), ["denied", "denied"]);
    // Such a denial says nothing about the role.
    assert!(matches!(bench.policy.grant(pod.principal()).await.unwrap_err().rejection, Rejection::NoRole));
    assert!(bench.policy.admit(pod.principal(), "meta-data/instance-id").await.is_err());
}

#[tokio::test]
async fn concurrent_requests_share_one_decision() {
    let bench = Arc::new(Bench::new(three().await));
    let mut asking = JoinSet::new();
    for _ in 0..64 {
        let bench = Arc::clone(&bench);
        asking.spawn(async move { bench.granted(harmless()).await });
    }
    assert_eq!(asking.join_all().await.len(), 64);
    assert_eq!(bench.worked_out(), ["granted"]);
}

/// The guest's `cache` is 60 s.
#[tokio::test(start_paused = true)]
async fn a_decision_made_with_the_clock_expires() {
    let clock = Clock::following_tokio(SystemTime::UNIX_EPOCH);
    let bench = Bench::built(host(), Rules::new(vec![echo().await], defaults()), clock);
    let pod = Entry::from(pod(&[("echo", does("resolve", "abstain"))]));
    let copy = again(&pod.workload);
    asked(&bench, &[&pod]).await;
    advance(Duration::from_secs(59)).await;
    assert_eq!(asked(&bench, &[&pod, &copy]).await.len(), 1);
    advance(Duration::from_secs(2)).await;
    assert_eq!(asked(&bench, &[&pod, &copy]).await.len(), 2);
    advance(Duration::from_secs(30)).await;
    assert_eq!(asked(&bench, &[&copy, &pod]).await.len(), 2);
    advance(Duration::from_secs(31)).await;
    assert_eq!(asked(&bench, &[&copy, &pod]).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_decision_made_without_the_clock_does_not_expire() {
    let clock = Clock::following_tokio(SystemTime::UNIX_EPOCH);
    let bench = Bench::built(host(), Rules::new(three().await.into(), defaults()), clock);
    let pod = Entry::from(harmless());
    asked(&bench, &[&pod]).await;
    advance(Duration::from_secs(365 * 24 * 3600)).await;
    assert_eq!(asked(&bench, &[&pod, &again(&pod.workload)]).await, ["granted"]);
}

#[tokio::test(start_paused = true)]
async fn a_decision_does_not_expire_if_the_clock_is_granted_to_a_plugin_that_does_not_ask_for_it() {
    let clock = Clock::following_tokio(SystemTime::UNIX_EPOCH);
    let granted = scripted("first", |guest| config::Plugin { clock: true, ..guest }).await;
    let bench = Bench::built(host(), Rules::new(vec![granted], defaults()), clock);
    let pod = Entry::from(pod(&[("first", deny("resolve", "never"))]));
    asked(&bench, &[&pod]).await;
    advance(Duration::from_secs(365 * 24 * 3600)).await;
    assert_eq!(asked(&bench, &[&pod, &again(&pod.workload)]).await, ["denied"]);
}
