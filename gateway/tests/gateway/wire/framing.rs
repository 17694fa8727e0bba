//! Bytes that are no request, or that two readers could read in two ways.

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// Sends these bytes and a second request, which must not be answered either. Returns all that comes back until the
/// gateway closes.
async fn answer(gateway: &TestGateway, bytes: &[u8]) -> String {
    let mut client = gateway.connect(CHECKOUT).await.unwrap();
    // The gateway may close before it has read everything.
    let _ = client.send(bytes).await;
    let _ = client.send(request(gateway, &format!("GET {ROLE}"), &["Connection: close"])).await;
    String::from_utf8_lossy(&client.rest().await.unwrap()).into_owned()
}

/// The request is refused with a status, or closed without one; then the next client is served.
async fn assert_refused(gateway: &TestGateway, bytes: &[u8]) {
    let answer = answer(gateway, bytes).await;
    let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
    assert!(refused && !answer.contains("payments-checkout"), "{sent:?}: {answer}");
    assert!(!answer.contains(" 200 OK"), "{sent:?}: {answer}");
    assert_eq!(get(gateway, CHECKOUT, ROLE).await.status, 200, "the next client is served after {sent:?}");
}

/// A whole request, in which `headers` stand before `Host`.
fn with(gateway: &TestGateway, headers: &str) -> Vec<u8> {
    format!("GET {ROLE} HTTP/1.1\r\n{headers}Host: {}\r\n\r\n", gateway.address()).into_bytes()
}

async fn with_short_timeout() -> TestGateway {
    // If the bytes are not a whole head, the header timeout ends the connection.
    setup().set("pods.header_timeout", "100ms").start().await.unwrap()
}

#[tokio::test]
async fn a_request_that_is_well_formed_is_served_so_that_the_others_fail_for_their_fault() {
    let gateway = gateway().await;
    let mut client = gateway.connect(CHECKOUT).await.unwrap();
    assert_eq!(client.ask(with(&gateway, "X-A: b\r\nX-Empty:\r\nX-Space:\t c \t\r\n")).await.unwrap().status, 200);
}

#[tokio::test]
async fn header_lines_that_can_be_read_in_two_ways_are_refused() {
    let gateway = with_short_timeout().await;
    for headers in [
        "X-A : b\r\n",
        "X-A\t: b\r\n",
        " X-A: b\r\n",
        "X-A: b\r\n folded\r\n",
        "X-A: b\r\n\tfolded\r\n",
        "X-A: b\rX-B: c\r\n",
        "X-A: b\0c\r\n",
        "X-A\r\n",
        ": b\r\n",
        "X(A): b\r\n",
        "X\u{e9}: b\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: 0, 0, 1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_refused(&gateway, &with(&gateway, headers)).await;
    }
}

#[tokio::test]
async fn a_bare_line_feed_ends_no_line() {
    let gateway = with_short_timeout().await;
    let host = gateway.address();
    for head in [
        format!("GET {ROLE} HTTP/1.1\nHost: {host}\n\n"),
        format!("GET {ROLE} HTTP/1.1\r\nHost: {host}\n\r\n"),
        format!("GET {ROLE} HTTP/1.1\r\nHost: {host}\r\n\n"),
        format!("GET {ROLE} HTTP/1.1\nHost: {host}\r\n\r\n"),
        format!("GET {ROLE} HTTP/1.1\r\nX-A: b\nHost: {host}\r\n\r\n"),
        format!("\nGET {ROLE} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ] {
        assert_refused(&gateway, head.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_request_line_that_is_none_is_refused() {
    let gateway = with_short_timeout().await;
    let host = gateway.address();
    for line in [
        format!("GET {ROLE}"),
        format!("GET  {ROLE} HTTP/1.1"),
        format!("GET {ROLE}  HTTP/1.1"),
        format!("GET {ROLE} x HTTP/1.1"),
        format!(" GET {ROLE} HTTP/1.1"),
        format!("GET\t{ROLE} HTTP/1.1"),
        format!("GET {ROLE} HTTP/2.0"),
        format!("GET {ROLE} HTTP/0.9"),
        format!("GET {ROLE} HTTP/1.2"),
        format!("GET {ROLE} http/1.1"),
        format!("GET {ROLE} HTTP/1.1 "),
        format!("G\0T {ROLE} HTTP/1.1"),
        format!("{ROLE} HTTP/1.1"),
        String::new(),
    ] {
        assert_refused(&gateway, format!("{line}\r\nHost: {host}\r\nX: \r\n\r\n").as_bytes()).await;
    }
}

#[tokio::test]
async fn bytes_that_are_no_http_are_refused() {
    let gateway = with_short_timeout().await;
    let client_hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";
    let all_bytes: Vec<u8> = (0..=255).collect();
    for garbage in [
        client_hello.as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x00\x00",
        &all_bytes,
        &[b'A'; 4096],
        b"SSH-2.0-OpenSSH_9.0\r\n",
        "\u{1F608} / HTTP/1.1\r\n\r\n".as_bytes(),
    ] {
        assert_refused(&gateway, garbage).await;
    }
}

#[tokio::test]
async fn headers_that_are_too_large_or_too_many_are_refused() {
    let gateway = gateway().await;
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    for headers in [
        format!("X-Large: {}\r\n", "y".repeat(64 << 10)),
        format!("X-{}: y\r\n", "n".repeat(64 << 10)),
        many(64),
        many(2000),
    ] {
        let mut client = gateway.connect(CHECKOUT).await.unwrap();
        let _ = client.send(with(&gateway, &headers)).await;
        let answer = String::from_utf8_lossy(&client.rest().await.unwrap()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let mut line = gateway.connect(CHECKOUT).await.unwrap();
    let _ = line.send(request(&gateway, &format!("GET /{}", "a".repeat(100_000)), &[])).await;
    let answer = String::from_utf8_lossy(&line.rest().await.unwrap()).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let mut most = gateway.connect(CHECKOUT).await.unwrap();
    assert_eq!(most.ask(with(&gateway, &many(63))).await.unwrap().status, 200, "64 with Host are not too many");
}
