//! The admin listener.

use std::sync::Arc;

use metagate::{
    credential::{Credential, Fetch, FetchError, FetchErrorKind, Secret, Source},
    credential_key::CredentialKey,
    roster::Feed,
};
use metagate_testkit::{Client, FakeSource};
use tokio::net::UnixStream;

use super::*;

const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";

pub(crate) async fn look(gateway: &TestGateway, path: &str) -> Reply {
    let mut client = gateway.admin().await.unwrap();
    client.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await.unwrap()
}

#[tokio::test]
async fn it_is_alive_at_once_and_ready_when_the_roster_is_known() {
    let feed = Arc::new(Feed::default());
    let gateway = Setup::default().feed(&feed).start().await.unwrap();
    assert_eq!(look(&gateway, "/livez").await.status, 200);
    let waiting = look(&gateway, "/readyz").await;
    assert_eq!((waiting.status, waiting.text().as_str()), (503, "waiting for: roster\n"));

    publish(&feed, "");
    let ready = async { while look(&gateway, "/readyz").await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(60), ready).await.unwrap();
    assert_eq!(look(&gateway, "/readyz").await.text(), "ok\n");
}

#[tokio::test]
async fn requests_are_counted_by_what_they_asked_and_how_they_ended() {
    let gateway = gateway().await;
    let token = token(&gateway, CHECKOUT).await;
    for _ in 0..3 {
        assert_eq!(get_with(&gateway, CHECKOUT, CREDENTIAL, &token).await.status, 200);
    }
    assert_eq!(get(&gateway, VISITOR, CREDENTIAL).await.status, 403);
    for counted in [
        "http_server_request_duration_seconds_count{http_request_method=\"GET\",http_response_status_code=\"200\",\
         http_route=\"/latest/meta-data/iam/security-credentials/{role}\",url_scheme=\"http\"} 3",
        "http_server_request_duration_seconds_count{http_request_method=\"PUT\",http_response_status_code=\"200\",\
         http_route=\"/latest/api/token\",url_scheme=\"http\"} 1",
        "metagate_refusals_total{reason=\"denied\"} 1",
        "metagate_imds_v1_requests_total 1",
        "metagate_policy_decisions_total{outcome=\"granted\",phase=\"authorize\",plugin=\"annotations\",\
         reason=\"none\"}",
        "metagate_policy_decisions_total{outcome=\"denied\",phase=\"authorize\",plugin=\"namespace-regex\",\
         reason=\"role-not-permitted\"} 1",
        "metagate_credential_reads_total{result=\"hit\"}",
        "metagate_roster_workloads 8",
    ] {
        until_metric(&gateway, counted).await;
    }
    let metrics = look(&gateway, "/metrics").await;
    assert_eq!(
        (metrics.status, metrics.header("Content-Type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    assert!(metrics.text().contains("http_route=\"/latest/api/token\""));
}

#[tokio::test]
async fn state_lists_who_has_what_and_explain_says_why() {
    let gateway = gateway().await;
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 200);
    assert_eq!(get(&gateway, VISITOR, CREDENTIAL).await.status, 403);
    let state: serde_json::Value = serde_json::from_slice(&look(&gateway, "/api/v1/state").await.body).unwrap();
    let workloads = state["workloads"].as_array().unwrap();
    let of = |pod: &str| workloads.iter().find(|workload| workload["pod"] == pod).unwrap().clone();
    assert_eq!(of("checkout-0")["role_arn"], "arn:aws:iam::123456789012:role/payments-checkout");
    assert!(of("checkout-0")["credential_expires"].is_string());
    assert_eq!((of("visitor-0")["outcome"].as_str(), of("visitor-0")["role_arn"].is_null()), (Some("denied"), true));

    let explained = look(&gateway, "/api/v1/explain?pod=guests/visitor-0").await;
    assert_eq!((explained.status, explained.header("Content-Type")), (200, Some("application/json")));
    let explained: serde_json::Value = serde_json::from_slice(&explained.body).unwrap();
    assert_eq!((explained["outcome"].as_str(), explained["status"].as_u64()), (Some("denied"), Some(403)));
    assert!(explained["reason"].as_str().unwrap().contains("role-not-permitted"));
    for (query, status) in [("pod=payments/nobody", 404), ("pod=x", 400), ("", 400), ("pod=a/b&x=y", 400)] {
        assert_eq!(look(&gateway, &format!("/api/v1/explain?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn a_refusal_is_counted_in_the_traffic_of_the_very_page_that_lists_it() {
    let gateway = gateway().await;
    assert_eq!(get(&gateway, VISITOR, CREDENTIAL).await.status, 403);
    // The request is counted when its record ends, which may be after the answer.
    until_metric(&gateway, "metagate_refusals_total{reason=\"denied\"} 1").await;
    let page = look(&gateway, "/").await.text();
    let (_, traffic) = page.split_once("id=\"traffic-title\"").unwrap();
    let (traffic, _) = traffic.split_once("</section>").unwrap();
    assert!(traffic.contains("1 request") && traffic.contains("1 refused"), "{traffic}");
    for claim in ["No request came", "Nothing is counted", "last 10 minutes"] {
        assert!(!traffic.contains(claim), "{claim}, seconds after the start: {traffic}");
    }
}

/// Issues to everybody except to pods with an external id.
struct NoPartners;

impl Source for NoPartners {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        let now = SystemTime::now();
        let answer = match &key.role().external_id {
            None => {
                let (secret, token) = (Secret::new("secret".to_owned()), Secret::new("token".to_owned()));
                Ok(Credential::new("ASIAOWN".to_owned(), secret, token, now, now + key.role().duration))
            }
            Some(_) => {
                let code = Some("AccessDenied".to_owned());
                Err(FetchError { class: FetchErrorKind::AccessDenied, code, detail: "no partner".to_owned() })
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test]
async fn grants_of_one_role_and_session_that_differ_in_the_rest_have_their_own_state() {
    let pod = |name: &str, address: Ipv4Addr, more: &str| {
        format!(
            "[[workload]]\nnamespace = 'payments'\npod = '{name}'\nips = ['{address}']\nannotations = {{ \
             'iam.amazonaws.com/role' = 'payments-checkout', 'iam.amazonaws.com/session-name' = 'shared'{more} }}\n"
        )
    };
    let roster = format!(
        "[[namespace]]\nname = 'payments'\nannotations = {{ 'iam.amazonaws.com/permitted' = '.*:role/payments-.*' }}\n\
         {}{}",
        pod("plain-0", CHECKOUT, ""),
        pod("partner-0", LEDGER, ", 'iam.amazonaws.com/external-id' = 'partner:42'"),
    );
    let gateway = Setup::default().roster(&roster).unwrap().source(Arc::new(NoPartners)).start().await.unwrap();
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 200);
    assert_eq!(get(&gateway, LEDGER, CREDENTIAL).await.status, 403);

    let json =
        async |path: &str| -> serde_json::Value { serde_json::from_slice(&look(&gateway, path).await.body).unwrap() };
    for (pod, access_key_id, error) in [
        ("plain-0", "ASIAOWN".into(), serde_json::Value::Null),
        ("partner-0", serde_json::Value::Null, "access-denied".into()),
    ] {
        let explained = json(&format!("/api/v1/explain?pod=payments/{pod}")).await;
        let credential = &explained["credential"];
        assert_eq!((&credential["access_key_id"], &credential["last_error"]), (&access_key_id, &error), "{explained}");
        assert_eq!(credential["expires"].is_null(), access_key_id.is_null(), "{explained}");
        assert_eq!(explained["next_step"].is_null(), error.is_null(), "{explained}");
    }

    let page = look(&gateway, "/").await.text();
    let row = |pod: &str| {
        let (_, rest) = page.split_once(&format!("data-key=\"payments/{pod}\"")).unwrap();
        rest.split_once("</tr>").unwrap().0.to_owned()
    };
    assert!(row("plain-0").contains("ASIAOWN") && !row("plain-0").contains("access-denied"), "{}", row("plain-0"));
    assert!(
        !row("partner-0").contains("ASIAOWN") && row("partner-0").contains("access-denied"),
        "{}",
        row("partner-0")
    );

    let state = json("/api/v1/state").await;
    let named = |pod: &str| {
        let workload = state["workloads"].as_array().unwrap().iter().find(|one| one["pod"] == pod).unwrap();
        let mut credentials = state["credentials"].as_array().unwrap().iter();
        credentials.find(|one| one["id"] == workload["credential"] && one["id"].is_string()).unwrap()
    };
    assert!(named("plain-0")["last_error"].is_null() && named("plain-0")["expires"].is_string(), "{state}");
    assert_eq!(named("partner-0")["last_error"], "access-denied", "{state}");
    for text in [page, state.to_string()] {
        assert!(!text.contains("partner:42"), "an external id must not be shown: {text}");
    }
}

#[tokio::test]
async fn no_page_holds_a_secret() {
    let gateway = setup().source(Arc::new(FakeSource::default())).start().await.unwrap();
    let session = token(&gateway, CHECKOUT).await;
    let document = get_with(&gateway, CHECKOUT, CREDENTIAL, &session).await.text();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let secrets = [&document["SecretAccessKey"], &document["Token"]].map(|secret| secret.as_str().unwrap().to_owned());
    assert!(secrets[0].starts_with("secret-of-payments-checkout-"));
    for page in [
        "/",
        "/",
        "/explain?pod=payments/checkout-0",
        "/livez",
        "/readyz",
        "/metrics",
        "/api/v1/state",
        "/api/v1/explain?pod=payments/checkout-0",
        "/api/v1/explain?pod=payments/checkout-0&role=payments-checkout",
        "/api/v1/explain?pod=payments/checkout-0&path=meta-data/instance-id",
        "/nothing",
    ] {
        let reply = look(&gateway, page).await;
        let whole = format!("{:?} {}", reply.headers, reply.text());
        for secret in secrets.iter().chain([&session]) {
            assert!(!whole.contains(secret.as_str()), "{page}: {whole}");
        }
        assert!(!whole.contains("secret-of-") && !whole.contains("token-of-"), "{page}");
    }
    let state = look(&gateway, "/api/v1/state").await.text();
    assert!(state.contains("payments-checkout"), "the searched state must have this credential");
}

#[tokio::test]
async fn the_status_page_shows_who_has_what_and_leads_to_why_and_loads_nothing_from_elsewhere() {
    let gateway = gateway().await;
    assert_eq!(get(&gateway, CHECKOUT, CREDENTIAL).await.status, 200);
    assert_eq!(get(&gateway, VISITOR, CREDENTIAL).await.status, 403);
    let page = look(&gateway, "/").await;
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("Content-Security-Policy").unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let page = page.text();
    for part in ["payments/checkout-0", "role/payments-checkout", "role-not-permitted", "/explain?pod=guests/visitor-0"]
    {
        assert!(page.contains(part), "{part} is not in: {page}");
    }
    for (path, kind) in [("/status.css", "text/css; charset=utf-8"), ("/status.js", "text/javascript; charset=utf-8")] {
        assert_eq!(look(&gateway, path).await.header("Content-Type"), Some(kind));
    }
    let why = look(&gateway, "/explain?pod=guests/visitor-0").await.text();
    assert!(why.contains("kubectl annotate namespace guests"), "{why}");
    let filtered = look(&gateway, "/?pod=visitor").await.text();
    assert!(
        filtered.contains("guests/visitor-0") && !filtered.contains("/explain?pod=payments/checkout-0"),
        "{filtered}"
    );
    assert_eq!(look(&gateway, "/explain?pod=%3Cscript%3E/x").await.status, 404);
}

#[tokio::test]
async fn a_foreign_host_and_another_method_are_refused() {
    let gateway = gateway().await;
    for (head, status) in [
        ("GET /api/v1/state HTTP/1.1\r\nHost: evil.example\r\n", 403),
        ("GET /api/v1/state HTTP/1.1\r\nHost: localhost.evil.example\r\n", 403),
        ("GET /metrics HTTP/1.1\r\nHost: a b\r\n", 403),
        ("GET /livez HTTP/1.1\r\nHost: 127.0.0.1:9620\r\n", 200),
        ("GET /livez HTTP/1.1\r\nHost: [::1]:9620\r\n", 200),
        ("GET /livez HTTP/1.0\r\n", 200),
        ("POST /api/v1/state HTTP/1.1\r\nHost: localhost\r\n", 405),
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n", 404),
    ] {
        let mut client = gateway.admin().await.unwrap();
        let reply = client.ask(format!("{head}\r\n")).await.unwrap();
        assert_eq!(reply.status, status, "{head}");
        assert!(status == 200 || !reply.text().contains("workloads"), "{head}");
    }
}

#[tokio::test]
async fn pods_reach_no_page_of_it() {
    let gateway = gateway().await;
    for path in [
        "/explain?pod=payments/checkout-0",
        "/status.css",
        "/livez",
        "/metrics",
        "/api/v1/state",
        "/api/v1/explain?pod=payments/checkout-0",
    ] {
        assert_eq!(get(&gateway, CHECKOUT, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn it_is_served_over_a_unix_socket_that_only_its_user_may_open() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let listen = format!("unix:{}", socket.display());
    let gateway = setup().set("admin.listen", &listen).start().await.unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for host in ["Host: localhost\r\n", ""] {
        let mut client = Client::over(UnixStream::connect(&socket).await.unwrap());
        let version = if host.is_empty() { "1.0" } else { "1.1" };
        let reply = client.ask(format!("GET /livez HTTP/{version}\r\n{host}\r\n")).await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok\n"));
    }
    gateway.stop().await;
    let again = setup().set("admin.listen", &listen).start().await;
    assert!(again.is_ok(), "what a stopped gateway leaves behind does not keep the next one from starting");
}
