//! `PUT /latest/api/token`.

use std::sync::Arc;

use metagate::roster::Feed;

use super::*;

const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const PUT: &str = "PUT /latest/api/token";

fn has_no_ttl(reply: &Reply) -> bool {
    reply.header(TTL).is_none()
}

#[tokio::test]
async fn a_token_comes_alone_with_its_ttl_and_headers_as_the_real_service_writes_them() {
    let gateway = gateway().await;
    for ttl in ["1", "300", "21600"] {
        let reply = ask(&gateway, CHECKOUT, PUT, &[&format!("{TTL}: {ttl}")]).await;
        assert_eq!(reply.status_line, "HTTP/1.1 200 OK");
        assert_eq!(
            headers(&reply),
            [
                ("Content-Type", "text/plain"),
                ("Server", "EC2ws"),
                ("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl),
                ("Content-Length", &reply.body.len().to_string()),
            ]
        );
        assert!((1..128).contains(&reply.body.len()));
        assert!(reply.body.iter().all(u8::is_ascii_graphic), "no newline, nothing to escape: {}", reply.text());
    }
}

#[tokio::test]
async fn a_header_name_may_be_written_in_any_case_and_the_body_be_declared_empty() {
    let gateway = gateway().await;
    for header in [TTL.to_lowercase(), TTL.to_uppercase()] {
        let reply = ask(&gateway, CHECKOUT, PUT, &[&format!("{header}: 60"), "Content-Length: 0"]).await;
        assert_eq!((reply.status, reply.header(TTL)), (200, Some("60")));
    }
}

#[tokio::test]
async fn a_ttl_that_is_absent_out_of_bounds_or_no_number_is_400_and_echoes_nothing() {
    let gateway = gateway().await;
    for wrong in ["0", "21601", "-1", "+60", "abc", "60.5", "", "6 0", "99999999999999999999", "\u{e9}"] {
        let reply = ask(&gateway, CHECKOUT, PUT, &[&format!("{TTL}: {wrong}")]).await;
        assert_eq!((reply.status, has_no_ttl(&reply)), (400, true), "{wrong}");
        assert!(!reply.body.is_empty());
    }
    let absent = ask(&gateway, CHECKOUT, PUT, &[]).await;
    assert_eq!((absent.status, has_no_ttl(&absent)), (400, true));
    let twice = ask(&gateway, CHECKOUT, PUT, &[&format!("{TTL}: 60"), &format!("{}: 60", TTL.to_lowercase())]).await;
    assert_eq!((twice.status, has_no_ttl(&twice)), (400, true));
}

#[tokio::test]
async fn a_forwarded_request_gets_no_token_however_the_header_is_written() {
    let gateway = gateway().await;
    for forwarded in
        ["X-Forwarded-For: 10.0.0.1", "x-forwarded-for: 127.0.0.2", "X-FORWARDED-FOR:", "x-Forwarded-for: "]
    {
        let reply = ask(&gateway, CHECKOUT, PUT, &[&format!("{TTL}: 60"), forwarded]).await;
        assert_eq!((reply.status, has_no_ttl(&reply)), (400, true), "{forwarded}");
    }
}

#[tokio::test]
async fn another_method_is_405_and_the_answer_names_the_right_one() {
    let gateway = gateway().await;
    for method in ["GET", "POST", "DELETE", "OPTIONS"] {
        let reply = ask(&gateway, CHECKOUT, &format!("{method} /latest/api/token"), &[&format!("{TTL}: 60")]).await;
        assert_eq!((reply.status, reply.header("Allow"), has_no_ttl(&reply)), (405, Some("PUT"), true), "{method}");
    }
    let elsewhere = ask(&gateway, CHECKOUT, "PUT /latest/meta-data/instance-id", &[&format!("{TTL}: 60")]).await;
    assert_eq!((elsewhere.status, elsewhere.header("Allow"), has_no_ttl(&elsewhere)), (405, Some("GET, HEAD"), true));
}

#[tokio::test]
async fn a_dated_version_issues_no_token() {
    let gateway = gateway().await;
    for version in ["2021-03-23", "1.0"] {
        let reply = ask(&gateway, CHECKOUT, &format!("PUT /{version}/api/token"), &[&format!("{TTL}: 60")]).await;
        assert_eq!((reply.status, has_no_ttl(&reply)), (403, true), "{version}");
    }
}

#[tokio::test]
async fn a_token_is_issued_before_any_pod_is_known() {
    let feed = Arc::new(Feed::default());
    // A token request that waited for its pod would wait 5 s, and would not get 200 in the end.
    let gateway = Setup::default().feed(&feed).set("roster.wait", "5s").start().await.unwrap();
    let early = token(&gateway, CHECKOUT).await;
    assert!(feed.current().synced_at().is_none());

    publish(&feed, &one_pod("checkout-0", "payments-checkout"));
    let reply = get_with(&gateway, CHECKOUT, "/latest/meta-data/iam/security-credentials/", &early).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "payments-checkout"), "it belongs to the pod that came");
}
