//! The running gateway.

use std::{sync::Arc, time::SystemTime};

use metagate::{admin, credential::FetchErrorKind, roster::Feed};
use metagate_testkit::{FakeSource, Setup};
use serde_json::{Value, json};

use super::server::{Reply, Server};
use super::{
    Verdict::{Fail, Pass, Skip, Warn},
    *,
};

#[tokio::test]
async fn a_running_sandbox_passes_and_has_nothing_else_to_check() {
    let folder = tempfile::tempdir().unwrap();
    let _gateway = Setup::default().set("admin.listen", &admin(&folder)).start().await.unwrap();
    let report = examine(&folder, &[]).await;
    assert_eq!(report.0.iter().map(|finding| finding.check).collect::<Vec<_>>(), CHECKS);
    report.expect("configuration", Pass, "3 plugins load");
    report.expect("gateway", Pass, concat!("version ", env!("CARGO_PKG_VERSION"), " answers"));
    report.expect("readiness", Pass, "ready");
    report.expect("roster", Pass, "5 pods, up to date");
    report.expect("credentials", Pass, "held");
    report.expect("imds-v1", Pass, "no request came without");
    for finding in &report.0[6..] {
        assert_eq!((finding.verdict, finding.found.as_str()), (Skip, "sandbox"), "{finding:?}");
    }
}

#[tokio::test]
async fn without_a_gateway_one_line_fails_and_says_where_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let report = examine(&folder, &[]).await;
    report.expect("gateway", Fail, "no gateway answers at");
    report.expect("gateway", Fail, "kubectl logs");
    for check in ["readiness", "roster", "credentials", "imds-v1"] {
        report.expect(check, Skip, "no gateway");
    }
}

#[tokio::test]
async fn a_gateway_that_waits_for_its_roster_is_not_ready_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let feed = Arc::new(Feed::default());
    let _gateway = Setup::default().feed(&feed).set("admin.listen", &admin(&folder)).start().await.unwrap();
    let report = examine(&folder, &[]).await;
    report.expect("readiness", Fail, "waits for: roster");
    report.expect("readiness", Fail, "the checks `api-server`");
    report.expect("roster", Fail, "never been filled");
}

#[tokio::test]
async fn requests_without_a_token_are_counted_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Setup::default().set("admin.listen", &admin(&folder)).start().await.unwrap();
    let mut pod = gateway.connect([127, 0, 0, 2]).await.unwrap();
    let ask = format!("GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address());
    assert_eq!(pod.ask(ask).await.unwrap().status, 200);
    // The request is counted when its record ends, which may be after the answer.
    let counted = async {
        loop {
            let report = examine(&folder, &[]).await;
            if report.of("imds-v1").verdict == Warn {
                return report;
            }
        }
    };
    let report = tokio::time::timeout(Duration::from_secs(60), counted).await.unwrap();
    report.expect("imds-v1", Warn, "1 requests came without a session token");
    report.expect("imds-v1", Warn, "metagate::imds");
    assert_eq!(report.of("gateway").verdict, Pass);
}

/// An admin server that answers with this.
fn says(folder: &TempDir, state: &Value, metrics: &str) -> Server {
    let (state, metrics) = (state.to_string(), metrics.to_owned());
    Server::on_socket(&folder.path().join("admin.sock"), move |ask| match ask.path.as_str() {
        "/api/v1/state" => Reply::Answer(200, state.clone()),
        "/metrics" => Reply::Answer(200, metrics.clone()),
        _ => Reply::Answer(404, String::new()),
    })
}

fn state(credentials: &Value) -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "waits_for": [], "roster": { "synced_at": "2026-01-01T00:00:00Z" },
            "workloads": [{}], "credentials": credentials, "plugins": [] })
}

fn key(role: &str, expires_in: Option<u64>, wanted: bool, error: Option<&str>) -> Value {
    let expires = expires_in.map(|life| SystemTime::now() + Duration::from_secs(life));
    let remedy = error.map(|error| json!({ "say": format!("What mends {error}."), "command": null }));
    json!({ "role_arn": role, "wanted": wanted, "last_error": error, "remedy": remedy,
            "expires": expires.map(|end| humantime::format_rfc3339_seconds(end).to_string()) })
}

const FRESH: &str = "metagate_roster_age_seconds 0\n";

#[tokio::test]
async fn credentials_that_fail_or_expire_are_reported_with_their_cure() {
    for (credentials, verdict, part) in [
        (json!([]), Pass, "0 held"),
        (json!([key("arn:r", Some(3000), true, None)]), Pass, "1 held; the first expires in 49m"),
        (json!([key("arn:r", Some(60), true, None)]), Warn, "below credentials.min_remaining"),
        // No longer wanted, so it is not renewed.
        (json!([key("arn:r", Some(60), false, None)]), Pass, "1 held, none that"),
        (json!([key("arn:r", Some(3000), true, Some("throttled"))]), Warn, "throttled: arn:r"),
        (
            json!([key("arn:r", None, true, Some("access-denied"))]),
            Warn,
            "0 held; the last fetch failed with access-denied: arn:r",
        ),
        (json!([key("arn:r", None, true, Some("access-denied"))]), Warn, "What mends access-denied."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let _admin = says(&folder, &state(&credentials), FRESH);
        examine(&folder, &[]).await.expect("credentials", verdict, part);
    }
}

#[tokio::test]
async fn doctor_the_status_page_and_explain_give_the_same_remedy_for_a_failed_fetch() {
    for (class, code) in [
        (FetchErrorKind::AccessDenied, Some("AccessDenied")),
        (FetchErrorKind::Invalid, Some("ValidationError")),
        (FetchErrorKind::Token, Some("InvalidIdentityToken")),
        (FetchErrorKind::Token, None),
        (FetchErrorKind::Identity, None),
        (FetchErrorKind::Throttled, Some("Throttling")),
        (FetchErrorKind::Unavailable, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let source = Arc::new(FakeSource::default());
        source.fail(class, code, "AWS's own words");
        let setup = Setup::default().source(source).set("admin.listen", &super::admin(&folder));
        let _gateway = setup.start().await.unwrap();
        let listen = config(&folder, &[]).admin.listen;
        let text = async |path: &str| {
            let answer = admin::ask(&listen, path).await.unwrap();
            String::from_utf8(answer.into_body().to_vec()).unwrap()
        };
        let json = async |path: &str| serde_json::from_str::<Value>(&text(path).await).unwrap();
        // The sandbox's pods, each with a role of its own, are prefetched.
        let all_failed = async {
            loop {
                let state = json("/api/v1/state").await;
                let credentials = state["credentials"].as_array().unwrap();
                if credentials.len() == 4 && credentials.iter().all(|one| one["last_error"] == class.label()) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all_failed).await.unwrap();

        let page = text("/").await.replace("<code>", "`").replace("</code>", "`");
        let report = examine(&folder, &[]).await;
        for pod in ["payments/checkout-0", "payments/ledger-0"] {
            let explained = json(&format!("/api/v1/explain?pod={pod}")).await;
            let say = explained["next_step"]["say"].as_str().unwrap_or_else(|| panic!("{explained}"));
            assert!(class != FetchErrorKind::AccessDenied || say.contains("trust policy"), "{say}");
            assert!(page.contains(say), "{class}: {pod}: {say}: {page}");
            report.expect("credentials", Warn, say);
        }
    }
}

#[tokio::test]
async fn many_failing_roles_are_counted_rather_than_listed() {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<_> = (0..9).map(|role| key(&format!("arn:{role}"), None, true, Some("invalid"))).collect();
    let _admin = says(&folder, &state(&json!(keys)), FRESH);
    let report = examine(&folder, &[]).await;
    report.expect("credentials", Warn, "arn:4 and 4 more");
}

#[tokio::test]
async fn an_old_roster_and_another_version_are_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = state(&json!([]));
    other["version"] = json!("0.0.1");
    let _admin = says(&folder, &other, "metagate_roster_age_seconds 75.5\n");
    let report = examine(&folder, &[]).await;
    report.expect("gateway", Warn, "version 0.0.1 answers");
    report.expect("roster", Warn, "1 pod, and changes may have been missed for 1m 15s");
}

#[tokio::test]
async fn something_else_at_the_admin_address_is_no_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let _admin = Server::on_socket(&folder.path().join("admin.sock"), |_| Reply::Answer(200, "hello".into()));
    examine(&folder, &[]).await.expect("gateway", Fail, "what answers is not a gateway");
}
