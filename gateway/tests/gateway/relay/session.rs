//! The gateway's own session with the node: one token, renewed, replaced, or omitted.

use std::{sync::Arc, time::Duration};

use metagate_testkit::{FakeImds, imds::Fault};

use super::{is_unavailable, names, read, upstream};

#[tokio::test]
async fn one_token_serves_all_reads_however_many_begin_at_once() {
    let imds = FakeImds::start().await.unwrap();
    let upstream = Arc::new(upstream(&imds));
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let upstream = upstream.clone();
        reads.spawn(async move { read(&upstream, "meta-data/instance-id").await });
    }
    assert!(reads.join_all().await.iter().all(Result::is_ok));
    assert_eq!(imds.requests().iter().filter(|request| request.method == "PUT").count(), 1);
}

#[tokio::test]
async fn a_forgotten_token_is_replaced_once_and_nobody_notices() {
    let imds = FakeImds::start().await.unwrap();
    let upstream = upstream(&imds);
    read(&upstream, "meta-data/instance-id").await.unwrap();
    imds.forget_tokens();
    imds.forget_requests();
    read(&upstream, "meta-data/instance-id").await.unwrap();
    assert_eq!(methods(&imds), ["GET", "PUT", "GET"]);
}

/// Time passes between two requests, not during one: a paused clock would run ahead while the test waits for a socket.
async fn pass_seconds(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

fn methods(imds: &FakeImds) -> Vec<String> {
    imds.requests().into_iter().map(|request| request.method).collect()
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let imds = FakeImds::start().await.unwrap();
    imds.set_token_ttl(1000);
    let upstream = upstream(&imds);
    read(&upstream, "meta-data/instance-id").await.unwrap();
    pass_seconds(890).await;
    read(&upstream, "meta-data/instance-id").await.unwrap();
    assert_eq!(methods(&imds), ["PUT", "GET", "GET"]);
    pass_seconds(20).await;
    read(&upstream, "meta-data/instance-id").await.unwrap();
    assert_eq!(methods(&imds), ["PUT", "GET", "GET", "PUT", "GET"]);
    let tokens: Vec<_> = imds.requests().into_iter().filter(|r| r.method == "GET").map(|r| r.headers).collect();
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[1], tokens[2]);
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_used_for_as_long_as_it_lives() {
    let imds = FakeImds::start().await.unwrap();
    imds.set_token_ttl(1000);
    let upstream = upstream(&imds);
    read(&upstream, "meta-data/instance-id").await.unwrap();
    imds.set_fault(Fault::TokenBody(String::new()));
    pass_seconds(910).await;
    imds.forget_requests();
    for _ in 0..2 {
        read(&upstream, "meta-data/instance-id").await.unwrap();
    }
    assert_eq!(methods(&imds), ["PUT", "GET", "GET"], "the renewal is tried again, but not at every read");
    pass_seconds(100).await;
    assert!(is_unavailable(&read(&upstream, "meta-data/instance-id").await, "token"));
}

#[tokio::test]
async fn an_upstream_without_tokens_is_asked_for_them_again_after_a_while() {
    let imds = FakeImds::start().await.unwrap();
    imds.set_fault(Fault::NoTokens(404));
    let upstream = upstream(&imds);
    read(&upstream, "meta-data/instance-id").await.unwrap();
    pass_seconds(299).await;
    read(&upstream, "meta-data/instance-id").await.unwrap();
    pass_seconds(2).await;
    read(&upstream, "meta-data/instance-id").await.unwrap();
    assert_eq!(methods(&imds), ["PUT", "GET", "GET", "PUT", "GET"]);
}

#[tokio::test]
async fn an_upstream_that_refuses_every_token_is_asked_twice_and_no_more() {
    let imds = FakeImds::start().await.unwrap();
    imds.set_fault(Fault::RejectTokens);
    let outcome = read(&upstream(&imds), "meta-data/instance-id").await;
    assert!(is_unavailable(&outcome, "401"), "{outcome:?}");
    assert_eq!(methods(&imds), ["PUT", "GET", "PUT", "GET"]);
}

#[tokio::test]
async fn an_upstream_without_tokens_is_read_without_and_asked_for_them_once() {
    for status in [403, 404, 405] {
        let imds = FakeImds::start().await.unwrap();
        imds.set_fault(Fault::NoTokens(status));
        let upstream = upstream(&imds);
        for _ in 0..3 {
            read(&upstream, "meta-data/instance-id").await.unwrap();
        }
        let requests = imds.requests();
        assert_eq!(requests.iter().filter(|request| request.method == "PUT").count(), 1);
        assert!(requests.iter().filter(|r| r.method == "GET").all(|get| names(get) == ["host"]));

        // Then the node is switched to IMDSv2, and the next read finds out.
        imds.set_fault(None);
        read(&upstream, "meta-data/instance-id").await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_token_route_never_leads_to_a_read_without_a_token() {
    let imds = FakeImds::start().await.unwrap();
    for fault in [
        Fault::TokenBody(String::new()),
        Fault::TokenBody("a b\r\nc".to_owned()),
        Fault::NoTokens(500),
        Fault::NoTokens(400),
        Fault::HangTokens,
    ] {
        imds.set_fault(fault.clone());
        let outcome = read(&upstream(&imds), "meta-data/instance-id").await;
        assert!(is_unavailable(&outcome, "token"), "{fault:?}: {outcome:?}");
    }
    assert_eq!(imds.gets(), Vec::<String>::new());
}
