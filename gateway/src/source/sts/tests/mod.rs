//! The requests to STS, and what its answers mean. Real sockets on loopback, so real time.

use std::time::Duration;

use aws_credential_types::Credentials as Keys;
use aws_sdk_sts::config::{
    endpoint::{DefaultResolver, Params, ResolveEndpoint},
    retry::RetryConfig,
};

use super::{
    fake::{FakeServer, ReceivedRequest, Reply, issued, key, key_of, refused, role},
    *,
};
use crate::source::{Token, TokenError};

mod faults;
mod trace;

const HOUR: Duration = Duration::from_secs(3600);

struct Tokens;

impl TokenSupplier for Tokens {
    fn token<'a>(&'a self, subject: &'a Subject, audience: &'a str) -> Token<'a> {
        let token = format!("token of {} for {audience}", subject.uid.as_str());
        Box::pin(std::future::ready(match subject.pod.as_str() {
            "checkout-0" => Ok(Secret::new(token)),
            _ => Err(TokenError::Refused { detail: "pod is gone".into() }),
        }))
    }
}

/// Retries at once; the timeouts are those of production.
fn transport() -> Transport {
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    Transport { retries, ..Transport::new() }
}

fn settings(endpoint: &str) -> StsSettings {
    StsSettings {
        observer: Arc::new(()),
        region: "eu-central-1".into(),
        endpoint: Some(endpoint.into()),
        identity: SharedCredentialsProvider::new(Keys::new("AKIANODE", "node-secret", None, None, "test")),
        assume_role_arn: None,
        tokens: Arc::new(Tokens),
        clock: Clock::system(),
    }
}

fn source_at(endpoint: &str, intermediate: Option<&str>) -> StsSource {
    let assume_role_arn = intermediate.map(|name| role(name).arn);
    StsSource::over(&transport(), StsSettings { assume_role_arn, ..settings(endpoint) })
}

async fn answering(reply: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) -> (FakeServer, StsSource) {
    let server = FakeServer::start(reply).await;
    let source = source_at(&server.endpoint, None);
    (server, source)
}

fn web_role(regional: bool) -> Role {
    let source = CredentialSource::WebIdentity { audience: "sts.amazonaws.com".into(), regional };
    Role { source, ..role("ledger") }
}

#[tokio::test]
async fn assume_role_asks_for_everything_that_the_role_carries_and_signs_it() {
    let (server, source) = answering(|_| issued("AssumeRole", "ASIAWORKLOAD", HOUR)).await;
    let key = key_of(Role {
        external_id: Some("ext+1".into()),
        tags: [("kubernetes-namespace".to_owned(), "payments & co".to_owned())].into(),
        session_policy: Some("{\"Version\":\"2012-10-17\"}".into()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into()],
        duration: Duration::from_secs(1800),
        ..role("team/reader")
    });
    let before = Clock::system().now();
    let credential = source.fetch(&key).await.unwrap();
    assert_eq!(credential.access_key_id, "ASIAWORKLOAD");
    assert_eq!(credential.secret_access_key.expose(), "wJalr/secret");
    assert_eq!(credential.session_token.expose(), "FwoG+token==");
    assert!(credential.issued_at >= before && credential.life() > HOUR - Duration::from_secs(5));

    let [ask] = &server.asked()[..] else { panic!("asked {} times", server.asked().len()) };
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("RoleArn", "arn:aws:iam::123456789012:role/team/reader"),
        ("RoleSessionName", "payments.checkout-0"),
        ("DurationSeconds", "1800"),
        ("ExternalId", "ext+1"),
        ("Tags.member.1.Key", "kubernetes-namespace"),
        ("Tags.member.1.Value", "payments & co"),
        ("Policy", "{\"Version\":\"2012-10-17\"}"),
        ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
    ] {
        assert_eq!(ask.field(name), value, "{name}");
    }
    assert!(ask.is_signed_by("AKIANODE"));
    assert!(ask.authorization.as_ref().unwrap().contains("/eu-central-1/sts/"));
    assert!(ask.user_agent.contains("app/metagate"), "{}", ask.user_agent);
}

#[tokio::test]
async fn what_the_role_does_not_carry_is_not_sent() {
    let (server, source) = answering(|_| issued("AssumeRole", "ASIAWORKLOAD", HOUR)).await;
    source.fetch(&key("reader")).await.unwrap();
    let sent: Vec<String> = server.asked()[0].form.keys().cloned().collect();
    assert_eq!(sent, ["Action", "DurationSeconds", "RoleArn", "RoleSessionName", "Version"]);
}

#[tokio::test]
async fn a_web_identity_token_is_exchanged_unsigned_for_its_own_role_whatever_the_endpoint() {
    for regional in [true, false] {
        let (server, source) = answering(|_| issued("AssumeRoleWithWebIdentity", "ASIAWEB", HOUR)).await;
        let credential = source.fetch(&key_of(web_role(regional))).await.unwrap();
        assert_eq!(credential.access_key_id, "ASIAWEB");
        let [ask] = &server.asked()[..] else { panic!("asked {} times", server.asked().len()) };
        assert_eq!(ask.field("Action"), "AssumeRoleWithWebIdentity");
        assert_eq!(ask.field("RoleArn"), "arn:aws:iam::123456789012:role/ledger");
        assert_eq!(ask.field("WebIdentityToken"), "token of 6f1c for sts.amazonaws.com");
        assert_eq!(ask.authorization, None);
    }
}

#[tokio::test]
async fn a_workload_without_its_token_never_reaches_sts() {
    let (server, source) = answering(|_| issued("AssumeRoleWithWebIdentity", "ASIAWEB", HOUR)).await;
    let other = crate::workload::Workload { pod: "other".into(), ..Default::default() };
    let error = source.fetch(&CredentialKey::new(web_role(true), &other)).await.unwrap_err();
    assert_eq!(error.class, FetchErrorKind::Token);
    assert!(server.asked().is_empty());
}

#[test]
fn the_global_endpoint_is_for_those_of_the_aws_partition_who_ask_for_it() {
    let source = StsSource::new(StsSettings { region: "cn-north-1".into(), endpoint: None, ..settings("") });
    let endpoint = |client: &Client| {
        let region = client.config().region().unwrap().to_string();
        let params = Params::builder().region(region).build().unwrap();
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(DefaultResolver::new().resolve_endpoint(&params))
            .unwrap()
            .url()
            .to_owned()
    };
    let chinese = Role { arn: "arn:aws-cn:iam::123456789012:role/ledger".parse().unwrap(), ..web_role(false) };
    assert_eq!(endpoint(source.client_for(&web_role(false), false)), "https://sts.amazonaws.com");
    assert_eq!(endpoint(source.client_for(&chinese, false)), "https://sts.cn-north-1.amazonaws.com.cn");
    assert_eq!(endpoint(source.client_for(&web_role(true), true)), "https://sts.cn-north-1.amazonaws.com.cn");
}

#[tokio::test]
async fn the_intermediate_role_is_assumed_once_and_then_signs_the_calls() {
    let server = FakeServer::start(|ask| match ask.field("RoleArn") {
        "arn:aws:iam::123456789012:role/hub" => issued("AssumeRole", "ASIAHUB", HOUR),
        _ => issued("AssumeRole", "ASIAWORKLOAD", HOUR),
    })
    .await;
    let source = source_at(&server.endpoint, Some("hub"));
    for name in ["reader", "writer"] {
        assert_eq!(source.fetch(&key(name)).await.unwrap().access_key_id, "ASIAWORKLOAD");
    }
    let asked = server.asked();
    let roles: Vec<&str> = asked.iter().map(|ask| ask.field("RoleArn").rsplit('/').next().unwrap()).collect();
    assert_eq!(roles, ["hub", "reader", "writer"]);
    assert!(asked[0].is_signed_by("AKIANODE") && asked[1].is_signed_by("ASIAHUB") && asked[2].is_signed_by("ASIAHUB"));
}

#[tokio::test]
async fn a_session_that_is_too_long_for_its_role_is_shortened_to_an_hour() {
    for message in [
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    ] {
        let (server, source) = answering(move |ask| match ask.field("DurationSeconds") {
            "3600" => issued("AssumeRole", "ASIASHORT", HOUR),
            _ => refused(400, "ValidationError", message),
        })
        .await;
        let key = key_of(Role { duration: 12 * HOUR, ..role("reader") });
        for _ in 0..2 {
            assert_eq!(source.fetch(&key).await.unwrap().access_key_id, "ASIASHORT");
        }
        let asked: Vec<String> = server.asked().iter().map(|ask| ask.field("DurationSeconds").to_owned()).collect();
        // The longer one is tried each time: the role's maximum may be raised while the gateway runs.
        assert_eq!(asked, ["43200", "3600", "43200", "3600"]);
        assert_eq!(source.shortened.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn another_validation_error_is_not_taken_for_a_session_that_is_too_long() {
    let (server, source) = answering(|_| refused(400, "ValidationError", "1 validation error detected")).await;
    let key = key_of(Role { duration: 12 * HOUR, ..role("reader") });
    assert_eq!(source.fetch(&key).await.unwrap_err().class, FetchErrorKind::Invalid);
    assert_eq!(server.asked().len(), 1);
}
