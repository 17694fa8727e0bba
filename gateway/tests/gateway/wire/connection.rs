//! Keep-alive, the shape of every answer, timeouts, and connection limits.

use tokio::io::AsyncWriteExt;

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn a_connection_serves_request_after_request_until_it_is_told_to_close() {
    let gateway = gateway().await;
    let mut client = gateway.connect(CHECKOUT).await.unwrap();
    for path in [ROLE, "/latest/user-data", "/latest/meta-data/../x", "/", ROLE] {
        let reply = client.ask(request(&gateway, &format!("GET {path}"), &[])).await.unwrap();
        assert_eq!(reply.header("Connection"), None, "{path}: a refused path does not end the connection");
    }
    let last = client.ask(request(&gateway, &format!("GET {ROLE}"), &["Connection: close"])).await.unwrap();
    assert_eq!((last.status, last.header("Connection")), (200, Some("close")));
    assert_eq!(client.rest().await.unwrap(), b"");
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_order() {
    let gateway = gateway().await;
    let mut client = gateway.connect(CHECKOUT).await.unwrap();
    let one = |path: &str| request(&gateway, &format!("GET {path}"), &[]);
    client.send([one(ROLE), one("/latest/"), one("/latest/user-data"), one(ROLE)].concat()).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..4 {
        let reply = client.receive().await.unwrap();
        answers.push((reply.status, reply.text().split(' ').next().unwrap().to_owned()));
    }
    let expected = [(200, "payments-checkout"), (200, "dynamic\nmeta-data"), (404, "no"), (200, "payments-checkout")];
    assert_eq!(answers, expected.map(|(status, word)| (status, word.to_owned())));
}

#[tokio::test]
async fn http_1_0_is_served_and_closed_unless_it_asks_to_be_kept() {
    let gateway = gateway().await;
    let mut client = gateway.connect(CHECKOUT).await.unwrap();
    let persistent = client.ask(format!("GET {ROLE} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).await.unwrap();
    assert_eq!((persistent.status, persistent.header("Content-Length")), (200, Some("17")));
    let closed = client.ask(format!("GET {ROLE} HTTP/1.0\r\n\r\n")).await.unwrap();
    assert_eq!((closed.status, closed.text().as_str()), (200, "payments-checkout"));
    assert_eq!(closed.header("Transfer-Encoding"), None);
    assert_eq!(client.rest().await.unwrap(), b"");
}

/// Every kind of answer: each status that a request can cause here.
#[tokio::test]
async fn every_answer_is_text_of_a_stated_length_from_ec2ws() {
    let gateway = setup().set("roster.wait", "0s").start().await.unwrap();
    let bad_token = "X-aws-ec2-metadata-token: x";
    for (pod, line, header, status) in [
        (CHECKOUT, "GET /", "X: y", 200),
        (CHECKOUT, "GET /latest/meta-data/instance-id", "X: y", 200),
        (CHECKOUT, "GET /latest/meta-data/iam/info", "X: y", 200),
        (CHECKOUT, "PUT /latest/api/token", "X: y", 400),
        (CHECKOUT, "GET /latest/./x", "X: y", 400),
        (CHECKOUT, "GET /latest/", "Host: twice", 400),
        (CHECKOUT, "GET /latest/", "Content-Length: 3", 400),
        (CHECKOUT, "GET /latest/", bad_token, 401),
        (CHECKOUT, "PUT /1.0/api/token", "X: y", 403),
        (VISITOR, "GET /latest/meta-data/iam/security-credentials/", "X: y", 403),
        (UNKNOWN, "GET /latest/", "X: y", 404),
        (CHECKOUT, "GET /latest/user-data", "X: y", 404),
        (CHECKOUT, "POST /latest/", "X: y", 405),
        (SHARED, "GET /latest/", "X: y", 503),
    ] {
        let reply = ask(&gateway, pod, line, &[header]).await;
        assert_eq!(reply.status, status, "{pod} {line}");
        assert_eq!(reply.header("Server"), Some("EC2ws"), "{line}");
        assert_eq!(reply.header("Content-Type"), Some("text/plain"), "{line}");
        assert_eq!(reply.header("Content-Length"), Some(reply.body.len().to_string().as_str()), "{line}");
        assert_eq!(reply.header("Transfer-Encoding"), None, "{line}");
        assert!(!reply.body.is_empty(), "{line}");
        let mut names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "no header twice: {names:?}");
        assert!(names.iter().all(|name| name.starts_with(|first: char| first.is_ascii_uppercase())), "{names:?}");
    }
}

#[tokio::test]
async fn a_header_that_is_never_finished_is_cut_off_while_others_are_served() {
    // Long enough for those who are served, also where the machine is busy.
    let gateway = setup().set("pods.header_timeout", "2s").start().await.unwrap();
    let mut slow = Vec::new();
    for beginning in ["G", "GET /latest/ HTTP/1.1\r\n", "GET /latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n", "\r\n"] {
        let mut client = gateway.connect(LEDGER).await.unwrap();
        client.send(beginning).await.unwrap();
        slow.push(client);
    }
    for pod in [CHECKOUT, LEDGER] {
        assert_eq!(get(&gateway, pod, ROLE).await.status, 200);
    }
    for mut client in slow {
        let rest = client.rest().await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains(" 200 OK"));
    }
}

#[tokio::test]
async fn a_header_that_trickles_in_is_cut_off() {
    let gateway = setup().set("pods.header_timeout", "100ms").start().await.unwrap();
    let stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    let (reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        // The loop ends with the connection: each byte comes in time after the one before, but all of them together do
        // not.
        while writing.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    tokio::time::timeout(Duration::from_secs(20), trickle).await.unwrap().unwrap();
    drop(reading);
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_closed_and_one_that_is_kept_alive_too() {
    let gateway = setup().set("pods.idle_timeout", "1s").start().await.unwrap();
    let mut silent = gateway.connect(CHECKOUT).await.unwrap();
    let mut persistent = gateway.connect(CHECKOUT).await.unwrap();
    assert_eq!(persistent.ask(request(&gateway, &format!("GET {ROLE}"), &[])).await.unwrap().status, 200);
    assert_eq!(silent.rest().await.unwrap(), b"");
    assert_eq!(persistent.rest().await.unwrap(), b"");
}

#[tokio::test]
async fn a_pod_that_has_its_share_of_connections_is_closed_and_others_are_served() {
    let gateway = setup().set("pods.max_connections_per_pod", "2").start().await.unwrap();
    let role = request(&gateway, &format!("GET {ROLE}"), &[]);
    let mut first = gateway.connect(CHECKOUT).await.unwrap();
    let mut second = gateway.connect(CHECKOUT).await.unwrap();
    assert_eq!(first.ask(&role).await.unwrap().status, 200);
    assert_eq!(second.ask(&role).await.unwrap().status, 200);

    let mut third = gateway.connect(CHECKOUT).await.unwrap();
    let _ = third.send(&role).await;
    assert_eq!(third.rest().await.unwrap(), b"", "closed unanswered");
    assert_eq!(get(&gateway, LEDGER, ROLE).await.status, 200, "another pod has its own share");
    assert_eq!(first.ask(&role).await.unwrap().status, 200, "its open connections are still served");

    drop(first);
    let again = async {
        // Waits until the gateway has seen that the first is closed.
        loop {
            let mut client = gateway.connect(CHECKOUT).await.unwrap();
            let _ = client.send(&role).await;
            if client.receive().await.is_ok_and(|reply| reply.status == 200) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
}

#[tokio::test]
async fn a_pod_that_asks_too_often_is_delayed_and_not_refused_while_others_are_not_delayed() {
    let gateway = setup().set("pods.max_requests_per_second_per_pod", "1").start().await.unwrap();
    let slowed = async || {
        let text = gateway
            .admin()
            .await
            .unwrap()
            .ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap()
            .text();
        let line = text.lines().find(|line| line.starts_with("metagate_requests_slowed_total")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let mut hammering = gateway.connect(CHECKOUT).await.unwrap();
    hammering.send(request(&gateway, &format!("GET {ROLE}"), &[]).repeat(3)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(hammering.receive().await.unwrap().status, 200);
    }
    assert_eq!(slowed().await, 2);
    assert_eq!(get(&gateway, LEDGER, ROLE).await.status, 200);
    assert_eq!(slowed().await, 2, "another pod is not delayed");
}

#[tokio::test]
async fn connections_over_the_limit_wait_until_there_is_room() {
    let gateway =
        setup().set("pods.max_connections", "2").set("pods.max_connections_per_pod", "2").start().await.unwrap();
    let role = request(&gateway, &format!("GET {ROLE}"), &[]);
    let mut first = gateway.connect(CHECKOUT).await.unwrap();
    let mut second = gateway.connect(AUDITOR).await.unwrap();
    assert_eq!((first.ask(&role).await.unwrap().status, second.ask(&role).await.unwrap().status), (200, 200));
    let mut third = gateway.connect(LEDGER).await.unwrap();
    third.send(&role).await.unwrap();
    assert_eq!(second.ask(&role).await.unwrap().status, 200);
    let early = tokio::time::timeout(Duration::ZERO, third.receive()).await;
    assert!(early.is_err(), "there is no room for it yet");
    drop(first);
    assert_eq!(third.receive().await.unwrap().text(), "ledger");
}
