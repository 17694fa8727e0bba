//! Watches that expire, break off, or arrive in pieces.

use super::*;

/// Waits until the pods' watch has been opened this many times.
async fn until_watched(lab: &Lab, times: usize) {
    lab.until_api("pods are watched", |api| api.asked_for(Kind::Pods, true).len() >= times).await;
}

#[tokio::test]
async fn an_event_takes_effect_on_the_next_request() {
    let lab = Lab::start(api(&[]).await).await;
    lab.api.put(Kind::Pods, pod("a", "127.0.0.2", "payments-a"));
    lab.until_at("127.0.0.2", Some("a")).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
}

#[tokio::test]
async fn what_was_deleted_while_a_watch_was_gone_is_gone_after_the_relist() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a"), pod("b", "127.0.0.3", "payments-b")]).await).await;
    until_watched(&lab, 1).await;
    // Nothing else runs in between, so no watch sees it.
    lab.api.delete(Kind::Pods, "payments", "a");
    lab.api.put(Kind::Pods, pod("c", "127.0.0.2", "payments-c"));
    lab.api.compact();
    lab.api.cut();
    lab.until_at("127.0.0.2", Some("c")).await;
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-c".into()));
    assert_eq!(lab.role("127.0.0.3").await, Ok("payments-b".into()), "the other pod still has its role");
    assert!(lab.api.asked_for(Kind::Pods, false).len() > 1, "there was no relist");
}

#[tokio::test]
async fn a_watch_that_gets_410_relists_and_serves_meanwhile() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    until_watched(&lab, 1).await;
    let listed = lab.api.asked_for(Kind::Pods, false).len();
    lab.api.expire();
    assert_eq!(lab.role("127.0.0.2").await, Ok("payments-a".into()));
    until_watched(&lab, 2).await;
    assert_eq!(lab.api.asked_for(Kind::Pods, false).len(), listed + 1);
    lab.api.put(Kind::Pods, pod("b", "127.0.0.3", "payments-b"));
    lab.until_at("127.0.0.3", Some("b")).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_in_the_middle_of_an_object_loses_nothing() {
    let lab = Lab::start(api(&[]).await).await;
    until_watched(&lab, 1).await;
    let listed = lab.api.asked_for(Kind::Pods, false).len();
    lab.api.tear();
    lab.api.put(Kind::Pods, pod("a", "127.0.0.2", "payments-a"));
    lab.until_at("127.0.0.2", Some("a")).await;
    assert_eq!(lab.api.asked_for(Kind::Pods, false).len(), listed, "a watch goes on where it was");
}

#[tokio::test]
async fn objects_may_come_in_any_pieces() {
    let api = api(&[]).await;
    api.set_chunk(7);
    let lab = Lab::start(api).await;
    for number in 2..6 {
        lab.api.put(Kind::Pods, pod(&format!("p-{number}"), &format!("127.0.0.{number}"), "payments-é"));
    }
    lab.until("all are there", |feed| feed.current().workloads().count() == 4).await;
}

#[tokio::test]
async fn after_a_bookmark_a_watch_goes_on_from_there_without_a_list() {
    let lab = Lab::start(api(&[pod("a", "127.0.0.2", "payments-a")]).await).await;
    until_watched(&lab, 1).await;
    let listed = lab.api.asked_for(Kind::Pods, false).len();
    lab.api.bookmark();
    lab.api.close();
    until_watched(&lab, 2).await;
    let versions: Vec<u64> = lab
        .api
        .asked_for(Kind::Pods, true)
        .iter()
        .map(|asked| asked.query["resourceVersion"].parse().unwrap())
        .collect();
    assert!(versions[1] > versions[0], "{versions:?}");
    assert_eq!(lab.api.asked_for(Kind::Pods, false).len(), listed);
}
