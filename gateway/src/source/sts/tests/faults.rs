//! Errors of STS, and their classes.

use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use aws_sdk_sts::config::timeout::TimeoutConfig;

use super::*;

#[tokio::test]
async fn each_error_of_sts_has_its_class_and_keeps_code_and_request_id() {
    use FetchErrorKind::{AccessDenied, Identity, Invalid, Throttled, Token, Unavailable};
    for (status, code, signed, with_token) in [
        (403, "AccessDenied", AccessDenied, AccessDenied),
        (400, "Throttling", Throttled, Throttled),
        (429, "TooManyRequestsException", Throttled, Throttled),
        (429, "SomethingNew", Throttled, Throttled),
        (400, "ExpiredTokenException", Identity, Token),
        (403, "ExpiredToken", Identity, Token),
        (400, "InvalidIdentityToken", Token, Token),
        (403, "IDPRejectedClaim", Token, Token),
        (400, "IDPCommunicationError", Unavailable, Unavailable),
        (400, "MalformedPolicyDocument", Invalid, Invalid),
        (400, "PackedPolicyTooLarge", Invalid, Invalid),
        (403, "RegionDisabledException", Invalid, Invalid),
        (400, "ValidationError", Invalid, Invalid),
        (403, "InvalidClientTokenId", Identity, Identity),
        (403, "SignatureDoesNotMatch", Identity, Identity),
        (403, "SomethingNew", AccessDenied, AccessDenied),
        (418, "SomethingNew", Unavailable, Unavailable),
        (500, "InternalFailure", Unavailable, Unavailable),
        (503, "ServiceUnavailable", Unavailable, Unavailable),
    ] {
        let (_server, source) = answering(move |_| refused(status, code, "no such luck")).await;
        for (key, class) in [(key("reader"), signed), (key_of(web_role(true)), with_token)] {
            let error = source.fetch(&key).await.unwrap_err();
            assert_eq!(error.class, class, "{code}: {error}");
            assert_eq!(error.code.as_deref(), Some(code));
            assert!(error.detail.contains("no such luck") && error.detail.contains("req-1234"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_unavailable_and_is_not_quoted() {
    let half = "<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>wJalr/secret</SecretAccessKey>";
    let whole = format!("{half}</Credentials></AssumeRoleResult></AssumeRoleResponse>");
    for (status, body) in [(200, half), (200, whole.as_str()), (200, ""), (200, "{}"), (502, "<html>wJalr/secret")] {
        let reply = body.to_owned();
        let (_server, source) = answering(move |_| Reply::Answer(status, reply.clone())).await;
        let error = source.fetch(&key("reader")).await.unwrap_err();
        assert_eq!(error.class, FetchErrorKind::Unavailable, "{body}: {error}");
        assert!(!format!("{error} {error:?}").contains("wJalr"), "{error:?}");
    }
}

#[tokio::test]
async fn a_silent_sts_and_an_absent_one_are_unavailable_in_bounded_time() {
    let server = FakeServer::start(|_| Reply::Silence).await;
    let (attempt, operation) = (Duration::from_millis(250), Duration::from_secs(1));
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(operation).build();
    let source = StsSource::over(&Transport { timeouts, ..transport() }, settings(&server.endpoint));
    let begun = tokio::time::Instant::now();
    let error = source.fetch(&key("reader")).await.unwrap_err();
    assert_eq!(error.class, FetchErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(server.asked().len() > 1, "an attempt that timed out is tried again");

    // A port that was just given up: nobody listens on it.
    let endpoint = FakeServer::start(|_| Reply::Silence).await.endpoint.clone();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = source_at(&endpoint, None).fetch(&key("reader")).await.unwrap_err();
    assert_eq!(error.class, FetchErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_gateway_that_may_not_assume_its_intermediate_role_has_no_identity() {
    for (status, code, class) in [
        (403, "AccessDenied", FetchErrorKind::Identity),
        (400, "Throttling", FetchErrorKind::Throttled),
        (503, "ServiceUnavailable", FetchErrorKind::Unavailable),
    ] {
        let server = FakeServer::start(move |_| refused(status, code, "not you")).await;
        let error = source_at(&server.endpoint, Some("hub")).fetch(&key("reader")).await.unwrap_err();
        assert_eq!((error.class, error.code.as_deref()), (class, Some(code)), "{error}");
        assert!(error.detail.contains("the gateway's own identity"), "{error}");
    }
}

#[derive(Debug)]
struct Unloaded;

impl ProvideCredentials for Unloaded {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("AWS_ACCESS_KEY_ID is not set")))
    }
}

#[tokio::test]
async fn a_gateway_without_an_identity_says_so_and_one_that_cannot_reach_its_node_is_asked_again_soon() {
    let nowhere = FakeServer::start(|_| Reply::Silence).await.endpoint.clone();
    let roleless = FakeServer::start(|ask| match ask.path.as_str() {
        "/latest/api/token" => Reply::Answer(200, "token".into()),
        _ => Reply::Answer(404, String::new()),
    })
    .await;
    let node = |endpoint: &str| {
        crate::source::base_identity(&crate::source::IdentitySettings {
            identity: crate::config::Identity::Imds,
            region: "eu-central-1".into(),
            sts_endpoint: None,
            imds_endpoint: crate::config::ImdsEndpoint::Http(endpoint.to_owned()),
        })
        .unwrap()
    };
    let sts = FakeServer::start(|_| issued("AssumeRole", "ASIAWORKLOAD", HOUR)).await;
    for (identity, class) in [
        (SharedCredentialsProvider::new(Unloaded), FetchErrorKind::Identity),
        (node(&roleless.endpoint), FetchErrorKind::Identity),
        (node(&nowhere), FetchErrorKind::Unavailable),
    ] {
        let source = StsSource::over(&Transport::new(), StsSettings { identity, ..settings(&sts.endpoint) });
        let error = source.fetch(&key("reader")).await.unwrap_err();
        assert_eq!(error.class, class, "{error}");
        assert!(error.detail.contains("the gateway's own identity"), "{error}");
    }
    assert!(sts.asked().is_empty());
}
