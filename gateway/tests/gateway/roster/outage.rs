//! An API server that is gone, slow, overloaded or silent, and then works again.

use metagate_testkit::api_server::Fault;

use super::*;

async fn watched(lab: &Lab) {
    lab.until_api("all are watched", |api| {
        [Kind::Pods, Kind::Namespaces, Kind::ServiceAccounts].iter().all(|kind| !api.asked_for(*kind, true).is_empty())
    })
    .await;
}

/// Polls until it is so, because no notification exists.
async fn until_outdated(lab: &Lab, outdated: bool) {
    let look = async {
        while lab.feed().outdated_since().is_some() != outdated {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, look).await.is_ok(), "outdated should be {outdated}");
}

#[tokio::test]
async fn while_the_api_server_is_away_the_last_snapshot_is_served_and_its_age_is_reported() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    watched(&lab).await;
    assert_eq!(lab.age().await, 0.0);
    lab.api.die().await;
    until_outdated(&lab, true).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
    assert_eq!(lab.admin("/readyz").await.status, 200);
    let (first, second) = (lab.age().await, lab.age().await);
    assert!(second > first && first > 0.0, "{first} {second}");

    // The gateway learns of it only when the API server is back.
    lab.api.put(Kind::Pods, pod("b", "127.0.0.3", "payments-b"));
    lab.api.delete(Kind::Pods, "payments", "a");
    lab.api.revive().await.unwrap();
    lab.until_at("127.0.0.3", Some("b")).await;
    lab.until_at("127.0.0.2", None).await;
    until_outdated(&lab, false).await;
    assert_eq!(lab.age().await, 0.0);
}

#[tokio::test]
async fn one_watch_that_is_refused_leaves_the_others_alone() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    watched(&lab).await;
    lab.api.set_fault(Kind::Namespaces, Fault::Status(403));
    lab.api.close();
    until_outdated(&lab, true).await;
    lab.api.put(Kind::Pods, pod("b", "127.0.0.3", "payments-b"));
    lab.until_at("127.0.0.3", Some("b")).await;
    assert_eq!(lab.role("127.0.0.3").await, Ok("payments-b".into()));
    lab.api.set_fault(Kind::Namespaces, Fault::None);
    until_outdated(&lab, false).await;
}

#[tokio::test]
async fn an_api_server_that_is_slow_or_full_is_waited_for_and_asked_again() {
    for fault in [Fault::Slow(Duration::from_millis(50)), Fault::Status(500), Fault::Status(429)] {
        let api = api(&[pod("a", "127.0.0.2", "payments-a")]).await;
        api.set_fault(Kind::Pods, fault.clone());
        let lab = Lab::unsynced(api, |setup| setup.set("roster.wait", "10ms")).await;
        lab.until_api("pods are asked for", |api| !api.asked_for(Kind::Pods, false).is_empty()).await;
        if matches!(fault, Fault::Status(_)) {
            lab.until_api("pods are asked for again", |api| api.asked_for(Kind::Pods, false).len() > 1).await;
            lab.api.set_fault(Kind::Pods, Fault::None);
        }
        lab.until_at("127.0.0.2", Some("a")).await;
    }
}

#[tokio::test]
async fn a_silent_api_server_delays_nobody_who_is_served() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    watched(&lab).await;
    for kind in [Kind::Pods, Kind::Namespaces, Kind::ServiceAccounts] {
        lab.api.set_fault(kind, Fault::Silent);
    }
    lab.api.close();
    lab.until_api("they are asked for", |api| api.asked_for(Kind::Pods, true).len() > 1).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
    assert_eq!(lab.admin("/readyz").await.status, 200);
}
