//! Stopping: what is under way is finished, and nothing new is begun.

use std::sync::Arc;

use metagate_testkit::FakeSource;

use super::*;

const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";

#[tokio::test]
async fn a_request_under_way_is_finished_and_no_new_connection_is_taken() {
    let source = Arc::new(FakeSource::default());
    source.hold();
    let gateway = setup().source(Arc::clone(&source) as _).start().await.unwrap();
    let mut under_way = gateway.connect(CHECKOUT).await.unwrap();
    under_way.send(request(&gateway, &format!("GET {CREDENTIAL}"), &[])).await.unwrap();
    let mut silent = gateway.connect(LEDGER).await.unwrap();
    until_metric(&gateway, "metagate_credential_reads_total{result=\"miss\"} 1").await;

    gateway.begin_to_stop();
    assert_eq!(silent.rest().await.unwrap(), b"", "who asks nothing is let go");
    let refused = async { while gateway.connect(CHECKOUT).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();

    source.issue();
    let reply = under_way.receive().await.unwrap();
    assert_eq!((reply.status, reply.header("Connection")), (200, Some("close")));
    assert!(reply.text().contains("secret-of-payments-checkout-"));
    assert_eq!(under_way.rest().await.unwrap(), b"");
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_serves_nobody_stops_at_once() {
    let gateway = gateway().await;
    let mut kept = gateway.connect(CHECKOUT).await.unwrap();
    assert_eq!(kept.ask(request(&gateway, "GET /", &[])).await.unwrap().status, 200);
    // Less than the 10 s that requests under way get.
    tokio::time::timeout(Duration::from_secs(8), gateway.stop()).await.unwrap();
    assert_eq!(kept.rest().await.unwrap(), b"");
}
