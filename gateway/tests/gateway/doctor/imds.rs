//! The node's metadata service, and endpoints that are none.

use metagate_testkit::{FakeImds, Setup, imds::Fault};

use super::server::dead_endpoint;
use super::{
    Verdict::{Fail, Pass, Warn},
    *,
};

async fn judged(endpoint: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    examine(&folder, &[("imds.endpoint", endpoint)]).await
}

#[tokio::test]
async fn each_way_of_answering_has_its_verdict() {
    for (fault, verdict, part) in [
        (None, Pass, "gives a session token (IMDSv2), and is i-0123456789abcdef0"),
        // A hop limit of 1 looks like this from a container.
        (Some(Fault::HangTokens), Warn, "hop limit of 1 is enough"),
        (Some(Fault::NoTokens(404)), Warn, "answers without a token"),
        (Some(Fault::NoTokens(500)), Fail, "answered a token request with status 500"),
        (Some(Fault::Status(404)), Fail, "with status 404"),
        (Some(Fault::Reset), Fail, "what stops its own packets"),
        (Some(Fault::TokenBody(String::new())), Fail, "without a token"),
    ] {
        let node = FakeImds::start().await.unwrap();
        node.set_fault(fault);
        judged(&node.endpoint()).await.expect("node-imds", verdict, part);
    }
    judged(&dead_endpoint().await).await.expect("node-imds", Fail, "See whether the node has a metadata service");
}

#[tokio::test]
async fn no_read_goes_without_a_token_where_there_are_tokens() {
    let node = FakeImds::start().await.unwrap();
    judged(&node.endpoint()).await.expect("node-imds", Pass, "IMDSv2");
    let requests = node.requests();
    assert_eq!(requests.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(), ["PUT", "GET"]);
    assert!(requests[1].headers.iter().any(|(name, _)| name == "x-aws-ec2-metadata-token"), "{requests:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_a_gateway_is_reported_as_a_loop() {
    let gateway = Setup::default().start().await.unwrap();
    let report = judged(&format!("http://{}", gateway.address())).await;
    report.expect("node-imds", Fail, "the gateway's own requests come back to it");
    report.expect("node-imds", Fail, "hostNetwork");
}
