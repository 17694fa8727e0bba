//! `Host`, and targets that name one: a page that rebinds its own name to this address gets nothing.

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// The status of a GET with this head, in which `ADDRESS` stands for the gateway's own.
async fn status(gateway: &TestGateway, head: &str) -> u16 {
    let mut client = gateway.connect(CHECKOUT).await.unwrap();
    let head = head.replace("ADDRESS", &gateway.address().to_string());
    let reply = client.ask(format!("{head}\r\n\r\n")).await.unwrap();
    assert_eq!(reply.text() == "payments-checkout", reply.status == 200, "{head}");
    if reply.status != 200 {
        assert_eq!(client.rest().await.unwrap(), b"", "a refused host ends the connection: {head}");
    }
    reply.status
}

#[tokio::test]
async fn the_service_is_known_by_its_addresses_and_by_configured_names() {
    let gateway = setup().set("pods.hosts", r#"["localhost", "Metadata.Internal"]"#).start().await.unwrap();
    for host in [
        "ADDRESS",
        // The AWS Common Runtime leaves the port out.
        "127.0.0.1",
        "169.254.169.254",
        "169.254.169.254:80",
        "[fd00:ec2::254]",
        "[fd00:ec2::254]:80",
        "localhost",
        "LocalHost:8181",
        "metadata.internal",
    ] {
        assert_eq!(status(&gateway, &format!("GET {ROLE} HTTP/1.1\r\nHost: {host}")).await, 200, "{host}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_403() {
    let gateway = gateway().await;
    for host in [
        "evil.example",
        "127.0.0.1:1",
        "127.0.0.2",
        "0.0.0.0",
        "[::1]",
        "169.254.169.253",
        "169.254.169.254.evil.example",
        "localhost.evil.example",
        "metadata.internal",
        "2852039166",
        "0xa9fea9fe",
    ] {
        assert_eq!(status(&gateway, &format!("GET {ROLE} HTTP/1.1\r\nHost: {host}")).await, 403, "{host}");
    }
    let put = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\nHost: evil.example";
    assert_eq!(status(&gateway, put).await, 403, "nor does it get a token");
}

#[tokio::test]
async fn a_host_that_is_missing_repeated_or_malformed_is_400() {
    let gateway = gateway().await;
    for headers in [
        "X: y",
        "Host: ADDRESS\r\nHost: ADDRESS",
        "Host: ADDRESS\r\nhost: evil.example",
        "Host: evil.example\r\nHost: ADDRESS",
        "Host:",
        "Host: a b",
        "Host: http://ADDRESS/",
        "Host: ADDRESS/latest",
        "Host: ADDRESS, evil.example",
    ] {
        assert_eq!(status(&gateway, &format!("GET {ROLE} HTTP/1.1\r\n{headers}")).await, 400, "{headers}");
    }
}

#[tokio::test]
async fn a_user_in_the_host_does_not_hide_it() {
    let gateway = gateway().await;
    for host in ["ADDRESS@evil.example", "169.254.169.254@evil.example:80"] {
        assert_ne!(status(&gateway, &format!("GET {ROLE} HTTP/1.1\r\nHost: {host}")).await, 200, "{host}");
    }
}

#[tokio::test]
async fn http_1_0_needs_no_host_but_may_not_name_a_foreign_one() {
    let gateway = gateway().await;
    assert_eq!(status(&gateway, &format!("GET {ROLE} HTTP/1.0")).await, 200);
    assert_eq!(status(&gateway, &format!("GET {ROLE} HTTP/1.0\r\nHost: ADDRESS")).await, 200);
    assert_eq!(status(&gateway, &format!("GET {ROLE} HTTP/1.0\r\nHost: evil.example")).await, 403);
}

#[tokio::test]
async fn an_absolute_target_is_served_where_it_names_this_service_and_400_elsewhere() {
    let gateway = gateway().await;
    for (authority, expected) in [
        ("ADDRESS", 200),
        ("169.254.169.254", 200),
        ("localhost", 200),
        ("evil.example", 400),
        ("169.254.169.253", 400),
        ("127.0.0.1:1", 400),
    ] {
        let head = format!("GET http://{authority}{ROLE} HTTP/1.1\r\nHost: ADDRESS");
        assert_eq!(status(&gateway, &head).await, expected, "{authority}");
    }
    let head = format!("GET http://ADDRESS{ROLE} HTTP/1.1\r\nHost: evil.example");
    assert_eq!(status(&gateway, &head).await, 403, "both must be known");
}
