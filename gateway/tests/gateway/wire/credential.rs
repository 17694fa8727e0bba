//! The credential document.

use std::{sync::Arc, time::UNIX_EPOCH};

use metagate_testkit::FakeSource;

use super::*;

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials";
const EXTENDED: &str = "/latest/meta-data/iam/security-credentials-extended";

/// Times with a fraction, which the document must not show.
async fn with_fixed_times() -> TestGateway {
    let source = FakeSource::default();
    let at = |seconds, millis| UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis);
    source.issue_between(at(1_700_000_000, 999), at(4_102_444_800, 500));
    // One pod only, so that its credential is the source's first.
    Setup::default().roster(&one_pod("a", "payments-a")).unwrap().source(Arc::new(source)).start().await.unwrap()
}

const DOCUMENT: &str = r#"{
  "Code": "Success",
  "LastUpdated": "2023-11-14T22:13:20Z",
  "Type": "AWS-HMAC",
  "AccessKeyId": "ASIA0000000000000001",
  "SecretAccessKey": "secret-of-payments-a-1",
  "Token": "token-of-payments-a-1",
  "Expiration": "2100-01-01T00:00:00Z""#;

#[tokio::test]
async fn the_document_has_the_seven_keys_in_their_order_and_times_in_whole_seconds() {
    let gateway = with_fixed_times().await;
    let reply = get(&gateway, CHECKOUT, &format!("{CREDENTIALS}/payments-a")).await;
    assert_eq!(reply.text(), format!("{DOCUMENT}\n}}"));
    let length = reply.body.len().to_string();
    assert_eq!(
        headers(&reply),
        [
            ("Content-Type", "text/plain"),
            ("Server", "EC2ws"),
            ("Cache-Control", "no-store"),
            ("Content-Length", length.as_str())
        ]
    );
}

#[tokio::test]
async fn the_extended_document_is_the_same_with_the_account() {
    let gateway = with_fixed_times().await;
    let reply = get(&gateway, CHECKOUT, &format!("{EXTENDED}/payments-a")).await;
    assert_eq!(reply.text(), format!("{DOCUMENT},\n  \"AccountId\": \"123456789012\"\n}}"));
    assert_eq!((reply.header("Content-Type"), reply.header("Cache-Control")), (Some("text/plain"), Some("no-store")));
}

#[tokio::test]
async fn a_role_may_be_named_in_each_of_its_ways() {
    let gateway = gateway().await;
    let plain = get(&gateway, AUDITOR, &format!("{CREDENTIALS}/auditor")).await;
    assert_eq!(plain.status, 200);
    for base in [CREDENTIALS, EXTENDED] {
        for role in [
            "auditor",
            "auditor/",
            "/auditor",
            "%61uditor",
            "admin/auditor",
            "admin//auditor",
            "admin%2Fauditor",
            "admin%2fauditor/",
            "arn:aws:iam::123456789012:role/admin/auditor",
            "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fadmin%2Fauditor",
            "arn:aws:iam::123456789012:role%2fadmin%2fauditor/",
        ] {
            let reply = get(&gateway, AUDITOR, &format!("{base}/{role}")).await;
            assert_eq!(reply.status, 200, "{base}/{role}: {}", reply.text());
            let key = |reply: &Reply| {
                serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()["AccessKeyId"].clone()
            };
            assert_eq!(key(&reply), key(&plain), "{base}/{role}");
        }
    }
    let dated = get(&gateway, AUDITOR, "/2012-01-12/meta-data/iam/security-credentials/auditor").await;
    assert_eq!(dated.body, plain.body);
}

#[tokio::test]
async fn any_other_role_is_404_whether_it_exists_or_not() {
    let gateway = gateway().await;
    let mut answers = Vec::new();
    for role in [
        "payments-reporting",
        "no-such-role",
        "Payments-Checkout",
        "payments-checkou",
        "payments-checkout-2",
        "role/payments-checkout",
        "other/payments-checkout",
        "arn:aws:iam::210987654321:role/payments-checkout",
        "arn:aws-cn:iam::123456789012:role/payments-checkout",
        "arn:aws:iam::123456789012:role/admin/payments-checkout",
        "payments-checkout/SecretAccessKey",
        "*",
    ] {
        let reply = get(&gateway, CHECKOUT, &format!("{CREDENTIALS}/{role}")).await;
        assert_eq!(reply.status, 404, "{role}: {}", reply.text());
        answers.push(reply.text().split(" (request").next().unwrap().to_owned());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "an existing role and a missing one get the same answer: {answers:?}");
}

#[tokio::test]
async fn each_pod_gets_its_own_credential() {
    let gateway = gateway().await;
    let mut keys = Vec::new();
    for (pod, role) in [(CHECKOUT, "payments-checkout"), (LEDGER, "ledger"), (AUDITOR, "auditor")] {
        let reply = get(&gateway, pod, &format!("{CREDENTIALS}/{role}")).await;
        let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        keys.push(document["AccessKeyId"].as_str().unwrap().to_owned());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}
