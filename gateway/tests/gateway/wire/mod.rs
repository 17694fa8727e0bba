//! What pods and operators see on the wire, byte by byte: a whole gateway, real sockets, a client that hides nothing.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states what it expects by unwrapping")]

mod admin;
mod audit;
mod caller;
mod catalogue;
mod connection;
mod credential;
mod drain;
mod framing;
mod host;
mod method;
mod path;
mod plugin;
mod policy;
mod reload;
mod role;
mod roster;
mod session;
mod source;
mod token;

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use metagate::roster::{Feed, Knowledge};
use metagate_testkit::{Reply, Setup, TestGateway, gateway::workloads};

/// Has the role `payments-checkout`, which its namespace permits.
const CHECKOUT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Has the role `ledger` by its service account.
const LEDGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Asks for a role that its namespace does not permit.
const VISITOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// Has the role `admin/auditor`, which has a path.
const AUDITOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
/// Has no role.
const IDLE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
/// Two pods claim this address.
const SHARED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);
/// No pod has this address.
const UNKNOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 99);

/// The sandbox's pods, and those that only these tests need.
fn roster() -> String {
    let more = r#"
        [[workload]]
        namespace = "payments"
        pod = "idle-0"
        ips = ["127.0.0.7"]
        [[workload]]
        namespace = "payments"
        pod = "twin-0"
        ips = ["127.0.0.8"]
        annotations = { "iam.amazonaws.com/role" = "payments-twin" }
        [[workload]]
        namespace = "payments"
        pod = "twin-1"
        ips = ["127.0.0.8"]
        annotations = { "iam.amazonaws.com/role" = "payments-twin" }
    "#;
    format!("{}\n{more}", metagate::roster::fixed::SANDBOX)
}

fn setup() -> Setup {
    // The longest that may be set: a loaded machine answers late, and no test here is about that.
    Setup::default().set("credentials.wait", "10s").roster(&roster()).unwrap()
}

async fn gateway() -> TestGateway {
    setup().start().await.unwrap()
}

/// A request head with this service's own `Host`.
fn request(gateway: &TestGateway, line: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", gateway.address())
}

/// One request on a connection of its own.
async fn ask(gateway: &TestGateway, pod: Ipv4Addr, line: &str, headers: &[&str]) -> Reply {
    let mut client = gateway.connect(pod).await.unwrap();
    client.ask(request(gateway, line, headers)).await.unwrap()
}

/// A GET without a session token.
async fn get(gateway: &TestGateway, pod: Ipv4Addr, path: &str) -> Reply {
    ask(gateway, pod, &format!("GET {path}"), &[]).await
}

async fn get_with(gateway: &TestGateway, pod: Ipv4Addr, path: &str, token: &str) -> Reply {
    ask(gateway, pod, &format!("GET {path}"), &[&format!("X-aws-ec2-metadata-token: {token}")]).await
}

async fn token(gateway: &TestGateway, pod: Ipv4Addr) -> String {
    let reply = ask(gateway, pod, "PUT /latest/api/token", &["X-aws-ec2-metadata-token-ttl-seconds: 600"]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

/// Names and values without `Date`, the one header that differs from answer to answer.
fn headers(reply: &Reply) -> Vec<(&str, &str)> {
    let lines = reply.headers.iter().filter(|(name, _)| name != "Date");
    lines.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn publish(feed: &Feed, roster: &str) {
    feed.publish(workloads(roster).unwrap(), Knowledge::Eventual, SystemTime::now());
}

/// One pod of namespace `payments` at CHECKOUT's address, with this role.
fn one_pod(name: &str, role: &str) -> String {
    format!(
        "[[namespace]]\nname = 'payments'\nannotations = {{ 'iam.amazonaws.com/permitted' = '.*:role/payments-.*' }}\n\
         [[workload]]\nnamespace = 'payments'\npod = '{name}'\nips = ['{CHECKOUT}']\n\
         annotations = {{ 'iam.amazonaws.com/role' = '{role}' }}\n"
    )
}

/// Waits until a line of the metrics begins like this.
async fn until_metric(gateway: &TestGateway, wanted: &str) {
    let metrics = Arc::clone(gateway.gateway().telemetry.metrics());
    let look = async {
        while !String::from_utf8_lossy(&metrics.text().unwrap()).lines().any(|line| line.starts_with(wanted)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), look).await;
    assert!(seen.is_ok(), "no {wanted} in\n{}", String::from_utf8_lossy(&metrics.text().unwrap()));
}

/// Time passes between two requests, not during one: a paused clock would run ahead while the test waits for a socket.
async fn pass_seconds(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}
