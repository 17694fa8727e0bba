//! What a pod reads while no credentials can be had.

use std::sync::Arc;

use metagate::credential::FetchErrorKind;
use metagate_testkit::FakeSource;

use super::*;

const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";
/// A detail that only an operator may read.
const DETAIL: &str = "arn:aws:sts::123456789012:assumed-role/node/i-0 is not authorized";

async fn with(source: &Arc<FakeSource>) -> TestGateway {
    setup().source(Arc::clone(source) as _).start().await.unwrap()
}

fn seconds(reply: &Reply) -> u64 {
    reply.header("Retry-After").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_source_that_is_down_is_503_and_says_when_to_ask_again() {
    for class in [
        FetchErrorKind::Unavailable,
        FetchErrorKind::Throttled,
        FetchErrorKind::Identity,
        FetchErrorKind::Token,
        FetchErrorKind::Invalid,
    ] {
        let source = Arc::new(FakeSource::default());
        source.fail(class, Some("SomeCode"), DETAIL);
        let gateway = with(&source).await;
        let reply = get(&gateway, CHECKOUT, CREDENTIAL).await;
        assert_eq!(reply.status, 503, "{class}");
        assert!(seconds(&reply) >= 1, "{class}");
        assert!(reply.text().contains(class.label()) && !reply.text().contains(DETAIL), "{}", reply.text());
        assert_eq!(get(&gateway, CHECKOUT, "/latest/meta-data/iam/security-credentials/").await.status, 200);
    }
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_503_after_credentials_wait() {
    let source = Arc::new(FakeSource::default());
    source.hold();
    let gateway = setup().set("credentials.wait", "100ms").source(Arc::clone(&source) as _).start().await.unwrap();
    let reply = get(&gateway, CHECKOUT, CREDENTIAL).await;
    assert_eq!((reply.status, seconds(&reply)), (503, 1), "{}", reply.text());
}

#[tokio::test]
async fn a_refused_role_is_403_with_awss_code_in_a_json_body() {
    for (code, expected) in
        [(Some("AccessDenied"), "AccessDenied"), (Some("IDPRejectedClaim"), "IDPRejectedClaim"), (None, "AccessDenied")]
    {
        let source = Arc::new(FakeSource::default());
        source.fail(FetchErrorKind::AccessDenied, code, DETAIL);
        let gateway = with(&source).await;
        let reply = get(&gateway, CHECKOUT, CREDENTIAL).await;
        assert_eq!((reply.status, reply.header("Content-Type")), (403, Some("text/plain")));
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["Code"], expected);
        assert_eq!(body["RequestId"].as_str().unwrap().len(), 16);
        assert!(!body["Message"].as_str().unwrap().is_empty());
        assert!(!reply.text().contains(DETAIL), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_refused_role_is_cached_and_the_source_is_not_asked_by_every_request() {
    let source = Arc::new(FakeSource::default());
    source.fail(FetchErrorKind::AccessDenied, None, DETAIL);
    let gateway = with(&source).await;
    for _ in 0..5 {
        assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 403);
    }
    let times = source.asked().iter().filter(|role| role.ends_with("/payments-checkout")).count();
    assert_eq!(times, 1);
}

#[tokio::test]
async fn a_request_that_came_before_the_answer_gets_it() {
    let source = Arc::new(FakeSource::default());
    source.hold();
    let gateway = with(&source).await;
    let mut early = gateway.connect(CHECKOUT).await.unwrap();
    early.send(request(&gateway, &format!("GET {CREDENTIAL}"), &[])).await.unwrap();
    until_metric(&gateway, "metagate_credential_reads_total{result=\"miss\"} 1").await;
    source.issue();
    let reply = early.receive().await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("secret-of-payments-checkout-"));
}
