//! Methods other than GET, and bodies.

use metagate_testkit::FakeImds;

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn methods_that_are_no_session_operation_are_405_and_change_nothing() {
    let imds = FakeImds::start().await.unwrap();
    let gateway = setup().imds(&imds).start().await.unwrap();
    for method in ["POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "Put"] {
        for path in [ROLE, "/latest/meta-data/instance-id", "/", "/no-such-thing"] {
            let secret = ["X-Secret: reflected"];
            let reply = ask(&gateway, CHECKOUT, &format!("{method} {path}"), &secret).await;
            assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD")), "{method} {path}");
            assert!(!reply.text().contains("reflected"), "TRACE echoes nothing");
        }
    }
    assert_eq!(imds.requests(), []);
}

#[tokio::test]
async fn connect_opens_no_tunnel() {
    let imds = FakeImds::start().await.unwrap();
    let gateway = setup().imds(&imds).start().await.unwrap();
    for target in [imds.endpoint().replace("http://", ""), "169.254.169.254:80".to_owned()] {
        let mut client = gateway.connect(CHECKOUT).await.unwrap();
        let reply = client.ask(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).await.unwrap();
        assert_eq!(reply.status, 405);
        client.send("GET /latest/meta-data/iam/security-credentials/node HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let after = String::from_utf8_lossy(&client.rest().await.unwrap_or_default()).into_owned();
        assert!(after.is_empty() || after.starts_with("HTTP/1.1 403 "), "{after}");
    }
    assert_eq!(imds.connections(), 0);
}

#[tokio::test]
async fn an_upgrade_is_not_taken_up() {
    let gateway = gateway().await;
    for headers in
        [["Connection: Upgrade", "Upgrade: websocket"], ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"]]
    {
        let reply = ask(&gateway, CHECKOUT, &format!("GET {ROLE}"), &headers).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "payments-checkout"));
    }
}

/// A body may be the next request for a reader who disagrees with us on where this one ends.
#[tokio::test]
async fn a_body_is_400_and_what_follows_is_not_read() {
    let gateway = gateway().await;
    let host = gateway.address();
    let hidden = format!("GET {ROLE} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let length = hidden.len();
    for (line, framing) in [
        (format!("GET {ROLE}"), format!("Content-Length: {length}\r\n\r\n{hidden}")),
        (format!("GET {ROLE}"), format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n")),
        (format!("GET {ROLE}"), format!("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")),
        (format!("GET {ROLE}"), format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")),
        (format!("GET {ROLE}"), format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}")),
        (format!("GET {ROLE}"), format!("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")),
        (format!("GET {ROLE}"), "Content-Length: 12\r\n\r\ntwo\nlines, or".to_owned()),
        (
            "PUT /latest/api/token".to_owned(),
            format!("X-aws-ec2-metadata-token-ttl-seconds: 60\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        ),
    ] {
        let mut client = gateway.connect(CHECKOUT).await.unwrap();
        client.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{framing}")).await.unwrap();
        let reply = client.receive().await.unwrap();
        assert_eq!((reply.status, reply.header("Connection")), (400, Some("close")), "{framing}");
        assert!(reply.header("X-aws-ec2-metadata-token-ttl-seconds").is_none());
        assert_eq!(client.rest().await.unwrap(), b"", "{framing}");
    }
}

#[tokio::test]
async fn a_body_of_length_zero_is_no_body() {
    let gateway = gateway().await;
    let reply = ask(&gateway, CHECKOUT, &format!("GET {ROLE}"), &["Content-Length: 0"]).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "payments-checkout"));
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let gateway = gateway().await;
    for (path, status) in [
        (ROLE, 200),
        ("/latest/meta-data/iam/security-credentials/payments-checkout", 200),
        ("/latest/meta-data/instance-id", 200),
        ("/", 200),
        ("/latest/meta-data/iam/info", 200),
        ("/latest/user-data", 404),
    ] {
        let got = get(&gateway, CHECKOUT, path).await;
        assert_eq!(got.status, status);
        let mut client = gateway.connect(CHECKOUT).await.unwrap();
        client.send(request(&gateway, &format!("HEAD {path}"), &[])).await.unwrap();
        let head = client.receive_head().await.unwrap();
        assert_eq!(head.status_line, got.status_line);
        assert_eq!(headers(&head), headers(&got), "{path}");
        let next = client.ask(request(&gateway, &format!("GET {ROLE}"), &[])).await.unwrap();
        assert_eq!(next.status_line, "HTTP/1.1 200 OK", "no byte of a body stands before the next answer");
    }
}
