//! The caller: a known pod, one that is not known yet, an absent one, an ambiguous one; and changes among these.

use std::sync::Arc;

use metagate::roster::Feed;
use metagate_testkit::FakeSource;

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials";

async fn over(feed: &Arc<Feed>, wait: &str) -> TestGateway {
    Setup::default()
        .set("roster.wait", wait)
        .set("credentials.wait", "10s")
        .feed(feed)
        .source(Arc::new(FakeSource::default()))
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_pod_that_is_not_known_yet_waits_for_the_roster_and_is_served_when_it_comes() {
    let feed = Arc::new(Feed::default());
    let gateway = over(&feed, "5s").await;
    let mut early = gateway.connect(CHECKOUT).await.unwrap();
    early.send(request(&gateway, &format!("GET {ROLE}"), &[])).await.unwrap();
    // Once a later request is answered, the earlier one has been read.
    token(&gateway, UNKNOWN).await;
    publish(&feed, "");
    publish(&feed, &one_pod("a", "payments-a"));
    let reply = early.receive().await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "payments-a"));
}

#[tokio::test]
async fn a_pod_that_does_not_become_known_gets_503_with_retry_after() {
    let feed = Arc::new(Feed::default());
    let gateway = over(&feed, "50ms").await;
    for synced in [false, true] {
        let reply = get(&gateway, CHECKOUT, ROLE).await;
        assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")), "synced: {synced}");
        publish(&feed, "");
    }
}

#[tokio::test]
async fn an_unknown_address_gets_404_if_the_list_is_complete() {
    let gateway = gateway().await;
    for path in
        [ROLE, "/", "/latest/meta-data/instance-id", "/latest/meta-data/iam/security-credentials/payments-checkout"]
    {
        let reply = get(&gateway, UNKNOWN, path).await;
        assert_eq!((reply.status, reply.header("Retry-After")), (404, None), "{path}");
    }
}

#[tokio::test]
async fn two_pods_on_one_address_get_nothing() {
    let gateway = setup().set("roster.wait", "50ms").start().await.unwrap();
    for path in [ROLE, "/", "/latest/meta-data/instance-id", "/latest/meta-data/iam/security-credentials/payments-twin"]
    {
        let reply = get(&gateway, SHARED, path).await;
        assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")), "{path}");
        assert!(!reply.text().contains("twin"), "{}", reply.text());
    }
}

async fn secret(gateway: &TestGateway, role: &str) -> Result<String, u16> {
    let reply = get(gateway, CHECKOUT, &format!("{CREDENTIALS}/{role}")).await;
    if reply.status != 200 {
        return Err(reply.status);
    }
    let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    Ok(document["SecretAccessKey"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_changed_annotation_counts_from_the_next_request_on() {
    let feed = Arc::new(Feed::default());
    publish(&feed, &one_pod("a", "payments-old"));
    let gateway = over(&feed, "0s").await;
    assert!(secret(&gateway, "payments-old").await.unwrap().starts_with("secret-of-payments-old-"));

    publish(&feed, &one_pod("a", "payments-new"));
    assert_eq!(secret(&gateway, "payments-old").await, Err(404));
    assert_eq!(get(&gateway, CHECKOUT, ROLE).await.text(), "payments-new");
    assert!(secret(&gateway, "payments-new").await.unwrap().starts_with("secret-of-payments-new-"));

    publish(&feed, &one_pod("a", ""));
    assert_eq!(secret(&gateway, "payments-new").await, Err(404), "the annotation is gone, and the role with it");
}

#[tokio::test]
async fn a_namespace_that_permits_no_longer_counts_from_the_next_request_on() {
    let feed = Arc::new(Feed::default());
    publish(&feed, &one_pod("a", "payments-a"));
    let gateway = over(&feed, "0s").await;
    assert!(secret(&gateway, "payments-a").await.is_ok());
    publish(&feed, &one_pod("a", "payments-a").replace(".*:role/payments-.*", ".*:role/other"));
    assert_eq!(secret(&gateway, "payments-a").await, Err(403));
}

#[tokio::test]
async fn a_service_account_that_loses_its_role_counts_from_the_next_request_on() {
    let with = |role: &str| {
        format!(
            "[[service_account]]\nnamespace = 'n'\nname = 's'\n\
             annotations = {{ 'eks.amazonaws.com/role-arn' = 'arn:aws:iam::123456789012:role/{role}' }}\n\
             [[workload]]\nnamespace = 'n'\npod = 'a'\nservice_account = 's'\nips = ['{CHECKOUT}']\n"
        )
    };
    let feed = Arc::new(Feed::default());
    publish(&feed, &with("first"));
    let gateway = over(&feed, "0s").await;
    assert!(secret(&gateway, "first").await.is_ok());
    publish(&feed, &with("second"));
    assert_eq!(secret(&gateway, "first").await, Err(404));
    assert!(secret(&gateway, "second").await.unwrap().starts_with("secret-of-second-"));
}

#[tokio::test]
async fn an_address_that_goes_to_another_pod_leaves_nothing_behind() {
    let feed = Arc::new(Feed::default());
    publish(&feed, &one_pod("first", "payments-first"));
    let gateway = over(&feed, "50ms").await;
    let mut kept_open = gateway.connect(CHECKOUT).await.unwrap();
    let firsts = request(&gateway, &format!("GET {CREDENTIALS}/payments-first"), &[]);
    assert_eq!(kept_open.ask(&firsts).await.unwrap().status, 200);

    publish(&feed, "");
    assert_eq!(kept_open.ask(&firsts).await.unwrap().status, 503, "the pod is gone and nobody has its address");
    publish(&feed, &one_pod("second", "payments-second"));
    assert_eq!(kept_open.ask(&firsts).await.unwrap().status, 404, "each request identifies its caller anew");
    assert_eq!(secret(&gateway, "payments-first").await, Err(404));
    assert!(secret(&gateway, "payments-second").await.unwrap().starts_with("secret-of-payments-second-"));
}

/// Whatever the interleaving, an answer to the question for one role is that role's or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_churn_no_answer_holds_another_pods_credential() {
    let feed = Arc::new(Feed::default());
    publish(&feed, &one_pod("first", "payments-first"));
    let gateway = Arc::new(over(&feed, "0s").await);
    let askers = ["payments-first", "payments-second"].map(|role| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let mut client = gateway.connect(CHECKOUT).await.unwrap();
            let question = request(&gateway, &format!("GET {CREDENTIALS}/{role}"), &[]);
            let mut served = 0;
            while served < 25 {
                let reply = client.ask(&question).await.unwrap();
                let text = reply.text();
                match reply.status {
                    200 => served += 1,
                    status => assert!(matches!(status, 404 | 503), "{text}"),
                }
                assert_eq!(text.contains("secret-of-"), reply.status == 200);
                assert!(reply.status != 200 || text.contains(&format!("secret-of-{role}-")), "{role}: {text}");
            }
        })
    });
    let churn = tokio::spawn(async move {
        loop {
            for role in ["payments-second", "payments-first"] {
                publish(&feed, &one_pod(role, role));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    for asker in askers {
        asker.await.unwrap();
    }
    churn.abort();
}
