//! Web identity tokens that the API server issues for a pod, one for each fetch.
//!
//! STS checks the signature, audience, expiry and subject of such a token, not the pod that it is bound to. So the
//! token has the shortest life that the API server allows, is issued for one fetch, and is not stored.

use std::time::Duration;

use ::kube::{Api, Client, Error, api::PostParams};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};

use super::{Token, TokenError, TokenSupplier};
use crate::{credential::Secret, credential_key::Subject};

/// Kubernetes API, TokenRequestSpec: the API server issues none for less than 10 minutes.
const LIFE_SECONDS: i64 = 600;
/// The API server signs within milliseconds. After a timeout the keeper retries.
const TIMEOUT: Duration = Duration::from_secs(5);

pub struct TokenRequests(Client);

impl TokenRequests {
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// The token is bound to the pod's name and UID: the API server refuses it for a pod that is gone or was replaced.
    async fn request(&self, subject: &Subject, audience: &str) -> Result<Secret, TokenError> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: Some(subject.pod.clone()),
                    uid: Some(subject.uid.as_str().to_owned()),
                }),
                expiration_seconds: Some(LIFE_SECONDS),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.0.clone(), &subject.namespace);
        let parameters = PostParams::default();
        let asked = accounts.create_token_request(&subject.service_account, &parameters, &request);
        let answer = tokio::time::timeout(TIMEOUT, asked)
            .await
            .map_err(|_| TokenError::Unavailable { detail: "the API server did not answer within 5s".into() })?;
        let issued = answer.map_err(refused)?.status.map(|status| status.token).filter(|token| !token.is_empty());
        let nothing = || TokenError::Unavailable { detail: "the API server's answer has no token in it".into() };
        issued.map(Secret::new).ok_or_else(nothing)
    }
}

impl TokenSupplier for TokenRequests {
    fn token<'a>(&'a self, subject: &'a Subject, audience: &'a str) -> Token<'a> {
        Box::pin(self.request(subject, audience))
    }
}

/// A status from 400 to 499 is final: no permission, no such service account, no such pod. Exceptions: 401 is about the
/// gateway's own token, which is renewed, and 429 asks for a retry.
fn refused(error: Error) -> TokenError {
    match error {
        Error::Api(status) if status.code == 403 => TokenError::Refused {
            detail: format!(
                "{}; the gateway needs the right to create serviceaccounts/token, which deploy/ grants only where IRSA is \
                 switched on",
                status.message
            ),
        },
        Error::Api(status) if (400..500).contains(&status.code) && ![401, 429].contains(&status.code) => {
            TokenError::Refused { detail: status.message }
        }
        other => TokenError::Unavailable { detail: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use ::kube::client::Body;
    use http::{Request, Response, StatusCode};
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::workload::Uid;

    /// Path and body of each request.
    type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    /// Answers with that status and body, and records the requests.
    fn api_server(status: StatusCode, body: Value) -> (TokenRequests, Asked) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (seen, body) = (Arc::clone(&seen), body.to_string());
            async move {
                let path = request.uri().path().to_owned();
                let sent = request.into_body().collect().await.unwrap().to_bytes();
                seen.lock().unwrap().push((path, serde_json::from_slice(&sent).unwrap()));
                let answer = Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap();
                Ok::<_, Infallible>(answer)
            }
        });
        (TokenRequests::new(Client::new(service, "default")), asked)
    }

    fn subject() -> Subject {
        Subject {
            namespace: "payments".into(),
            service_account: "ledger".into(),
            pod: "checkout-0".into(),
            uid: Uid::new("u-1"),
        }
    }

    fn refusal(code: u16, message: &str) -> Value {
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": "x" })
    }

    #[tokio::test]
    async fn a_token_is_asked_for_with_the_shortest_life_and_bound_to_the_pod() {
        let issued = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": { "audiences": ["sts.amazonaws.com"] },
            "status": { "token": "header.payload.signature", "expirationTimestamp": "2026-01-01T00:10:00Z" },
        });
        let (tokens, asked) = api_server(StatusCode::CREATED, issued);
        let token = tokens.token(&subject(), "sts.amazonaws.com").await.unwrap();
        assert_eq!(token.expose(), "header.payload.signature");
        let asked = asked.lock().unwrap();
        let [(path, sent)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(path, "/api/v1/namespaces/payments/serviceaccounts/ledger/token");
        assert_eq!(
            sent["spec"],
            json!({
                "audiences": ["sts.amazonaws.com"],
                "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "checkout-0", "uid": "u-1" },
                "expirationSeconds": 600,
            })
        );
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_a_failure_is_retried() {
        for (code, is_final) in
            [(400, true), (401, false), (403, true), (404, true), (409, true), (429, false), (500, false), (503, false)]
        {
            let (tokens, _) = api_server(StatusCode::from_u16(code).unwrap(), refusal(code, "no"));
            let error = tokens.token(&subject(), "sts.amazonaws.com").await.unwrap_err();
            assert_eq!(matches!(error, TokenError::Refused { .. }), is_final, "{code}: {error}");
        }
    }

    #[tokio::test]
    async fn a_missing_right_is_named() {
        let (tokens, _) = api_server(StatusCode::FORBIDDEN, refusal(403, "cannot create resource"));
        let error = tokens.token(&subject(), "sts.amazonaws.com").await.unwrap_err().to_string();
        assert!(error.contains("serviceaccounts/token"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_without_a_token_is_no_token() {
        let answer = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": { "audiences": [] }, "status": { "token": "", "expirationTimestamp": "2026-01-01T00:10:00Z" },
        });
        let (tokens, _) = api_server(StatusCode::CREATED, answer);
        let error = tokens.token(&subject(), "sts.amazonaws.com").await.unwrap_err();
        assert!(matches!(error, TokenError::Unavailable { .. }));
    }
}
