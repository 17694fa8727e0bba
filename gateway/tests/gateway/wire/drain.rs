//! Stopping: requests in flight are finished, and nothing new begins.

use std::sync::Arc;

use metagate_testkit::FakeSource;

use super::*;

const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";

#[tokio::test]
async fn a_request_in_flight_is_finished_and_no_new_connection_is_accepted() {
    let source = Arc::new(FakeSource::default());
    source.hold();
    let gateway = setup().source(Arc::clone(&source) as _).start().await.unwrap();
    let mut under_way = gateway.connect(CHECKOUT).await.unwrap();
    under_way.send(request(&gateway, &format!("GET {CREDENTIAL}"), &[])).await.unwrap();
    let mut silent = gateway.connect(LEDGER).await.unwrap();
    until_metric(&gateway, "metagate_credential_reads_total{result=\"miss\"} 1").await;

    gateway.begin_to_stop();
    assert_eq!(silent.rest().await.unwrap(), b"", "an idle connection is closed");
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
    let mut idle = gateway.connect(CHECKOUT).await.unwrap();
    assert_eq!(idle.ask(request(&gateway, "GET /", &[])).await.unwrap().status, 200);
    // Less than the 10 s that requests in flight get.
    tokio::time::timeout(Duration::from_secs(8), gateway.stop()).await.unwrap();
    assert_eq!(idle.rest().await.unwrap(), b"");
}
