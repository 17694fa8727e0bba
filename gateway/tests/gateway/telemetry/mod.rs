//! What a gateway reports about itself: exports to real OTLP receivers, metrics whose number no pod can change,
//! decision records.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test states what it expects by it")]
#![expect(clippy::print_stdout, reason = "the number of series is for people")]

mod export;
mod program;
mod series;

use std::{net::IpAddr, time::Duration};

use metagate_testkit::{Reply, TestGateway};

/// Has the role `payments-checkout`, which its namespace permits.
const CHECKOUT: [u8; 4] = [127, 0, 0, 2];
/// Asks for a role that its namespace does not permit.
const VISITOR: [u8; 4] = [127, 0, 0, 4];

const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";

/// One GET without a session token on a connection of its own.
async fn get(gateway: &TestGateway, pod: impl Into<IpAddr>, path: &str, headers: &[&str]) -> Reply {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let mut client = gateway.connect(pod).await.unwrap();
    client.ask(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", gateway.address())).await.unwrap()
}

/// A loaded machine may need this long; a test that reaches it has failed.
async fn in_time<T>(what: &str, wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), wanted).await.unwrap_or_else(|_| panic!("no {what} in a minute"))
}
