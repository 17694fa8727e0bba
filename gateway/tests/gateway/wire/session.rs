//! `X-aws-ec2-metadata-token` on a GET: who may use which token.

use std::sync::Arc;

use metagate::{clock::Clock, roster::Feed};

use super::*;

const TOKEN: &str = "X-aws-ec2-metadata-token";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// One path for each kind of answer.
const EVERY_KIND: [&str; 11] = [
    "/",
    "/latest/",
    "/latest/meta-data/",
    "/latest/meta-data/iam/",
    "/latest/meta-data/iam/info",
    "/latest/meta-data/iam/security-credentials/",
    "/latest/meta-data/iam/security-credentials/payments-checkout",
    "/latest/meta-data/iam/security-credentials-extended/payments-checkout",
    "/latest/meta-data/instance-id",
    "/latest/user-data",
    "/latest/meta-data/no-such-thing",
];

async fn assert_refused(gateway: &TestGateway, pod: Ipv4Addr, token: &str) {
    for path in EVERY_KIND {
        let reply = get_with(gateway, pod, path, token).await;
        assert_eq!(reply.status, 401, "{path} with {token:?}: {}", reply.text());
        // aws-sdk-cpp takes a 401 without a body for a network fault (issue 2282).
        assert!(!reply.body.is_empty(), "{path}");
        assert!(!reply.text().contains("AccessKeyId"), "{path}");
    }
}

#[tokio::test]
async fn a_good_token_serves_every_path() {
    let gateway = gateway().await;
    let token = token(&gateway, CHECKOUT).await;
    for path in EVERY_KIND {
        let reply = get_with(&gateway, CHECKOUT, path, &token).await;
        let nothing_there = path.ends_with("user-data") || path.ends_with("no-such-thing");
        assert_eq!(reply.status, if nothing_there { 404 } else { 200 }, "{path}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_genuine_is_401_on_every_path_even_where_none_is_needed() {
    let gateway = gateway().await;
    let genuine = token(&gateway, CHECKOUT).await;
    let tampered = format!("{}{}", if genuine.starts_with('A') { 'B' } else { 'A' }, &genuine[1..]);
    for token in
        ["", "bogus", &genuine[1..], &genuine[..genuine.len() - 1], &tampered, &format!("{genuine}="), "\u{e9}"]
    {
        assert_refused(&gateway, CHECKOUT, token).await;
    }
}

#[tokio::test]
async fn another_pods_token_is_401() {
    let gateway = gateway().await;
    let stolen = token(&gateway, LEDGER).await;
    assert_refused(&gateway, CHECKOUT, &stolen).await;
    assert_eq!(get_with(&gateway, LEDGER, ROLE, &stolen).await.status, 200);
}

#[tokio::test]
async fn a_token_minted_for_an_unknown_pod_is_bound_to_its_address() {
    let feed = Arc::new(Feed::default());
    let gateway = Setup::default().feed(&feed).start().await.unwrap();
    let unbound = token(&gateway, UNKNOWN).await;
    publish(&feed, &one_pod("a", "payments-a"));
    assert_refused(&gateway, CHECKOUT, &unbound).await;
}

#[tokio::test]
async fn a_token_of_an_addresss_previous_pod_is_401_for_the_next() {
    let feed = Arc::new(Feed::default());
    publish(&feed, &one_pod("first", "payments-first"));
    let gateway = Setup::default().feed(&feed).start().await.unwrap();
    let firsts = token(&gateway, CHECKOUT).await;
    assert_eq!(get_with(&gateway, CHECKOUT, ROLE, &firsts).await.text(), "payments-first");

    publish(&feed, &one_pod("second", "payments-second"));
    assert_refused(&gateway, CHECKOUT, &firsts).await;
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.text(), "payments-second");
}

#[tokio::test]
async fn a_token_ends_with_its_ttl() {
    let gateway = setup().clock(Clock::following_tokio(SystemTime::now())).start().await.unwrap();
    let token = token(&gateway, CHECKOUT).await;
    pass_seconds(590).await;
    assert_eq!(get_with(&gateway, CHECKOUT, ROLE, &token).await.status, 200);
    pass_seconds(11).await;
    assert_refused(&gateway, CHECKOUT, &token).await;
}

#[tokio::test]
async fn where_tokens_are_required_nothing_is_served_without_one() {
    let gateway = setup().set("imds.token", "required").start().await.unwrap();
    for path in EVERY_KIND {
        let reply = get(&gateway, CHECKOUT, path).await;
        assert_eq!((reply.status, reply.body.is_empty()), (401, false), "{path}");
    }
    let token = token(&gateway, CHECKOUT).await;
    assert_eq!(get_with(&gateway, CHECKOUT, ROLE, &token).await.text(), "payments-checkout");
}

#[tokio::test]
async fn two_tokens_in_one_request_are_400() {
    let gateway = gateway().await;
    let (one, other) = (token(&gateway, CHECKOUT).await, token(&gateway, CHECKOUT).await);
    for second in [&one, &other] {
        let (first, second) = (format!("{TOKEN}: {one}"), format!("{}: {second}", TOKEN.to_lowercase()));
        let reply = ask(&gateway, CHECKOUT, &format!("GET {ROLE}"), &[&first, &second]).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
    }
}

#[tokio::test]
async fn a_token_outlives_the_gateway_only_if_its_key_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    for (file, after) in [(key.to_str().unwrap(), 200), ("", 401)] {
        let before = setup().set("imds.token_key_file", file).start().await.unwrap();
        let token = token(&before, CHECKOUT).await;
        before.stop().await;
        let restarted = setup().set("imds.token_key_file", file).start().await.unwrap();
        assert_eq!(get_with(&restarted, CHECKOUT, ROLE, &token).await.status, after, "key file {file:?}");
    }
}
