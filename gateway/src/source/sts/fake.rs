//! A small HTTP server on loopback that answers as the test says, and records the requests.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    credential_key::CredentialKey,
    pairs::Pairs,
    role::{CredentialSource, Role},
    workload::{Uid, Workload},
};

#[derive(Clone, Debug)]
pub(in crate::source) struct ReceivedRequest {
    pub(in crate::source) path: String,
    pub(in crate::source) form: BTreeMap<String, String>,
    /// The signature's header, where the request was signed.
    pub(in crate::source) authorization: Option<String>,
    pub(in crate::source) user_agent: String,
    /// W3C Trace Context.
    pub(in crate::source) traceparent: Option<String>,
}

impl ReceivedRequest {
    pub(in crate::source) fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }

    pub(in crate::source) fn is_signed_by(&self, access_key_id: &str) -> bool {
        self.authorization.as_ref().is_some_and(|header| header.contains(&format!("Credential={access_key_id}/")))
    }
}

pub(in crate::source) enum Reply {
    Answer(u16, String),
    /// Takes the request and never answers.
    Silence,
}

/// Stops when dropped.
pub(in crate::source) struct FakeServer {
    pub(in crate::source) endpoint: String,
    asked: Arc<Mutex<Vec<ReceivedRequest>>>,
    task: JoinHandle<()>,
}

impl FakeServer {
    pub(in crate::source) async fn start(answer: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                connections.spawn(async move {
                    let serve = service_fn(|request| {
                        let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                        async move { Ok::<_, Infallible>(respond(request, &log, &*answer).await) }
                    });
                    // A client that disconnects is not an error.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
                });
            }
        });
        Self { endpoint, asked, task }
    }

    pub(in crate::source) fn asked(&self) -> Vec<ReceivedRequest> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(
    request: Request<Incoming>,
    log: &Mutex<Vec<ReceivedRequest>>,
    answer: &(impl Fn(&ReceivedRequest) -> Reply + Send + Sync),
) -> Response<Full<Bytes>> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (authorization, user_agent) = (header("authorization"), header("user-agent").unwrap_or_default());
    let traceparent = header("traceparent");
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let received = ReceivedRequest {
        path,
        form: fields(std::str::from_utf8(&body).unwrap()),
        authorization,
        user_agent,
        traceparent,
    };
    log.lock().unwrap().push(received.clone());
    match answer(&received) {
        Reply::Answer(status, body) => Response::builder()
            .status(status)
            .header("x-amzn-requestid", "req-1234")
            .header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
            .body(Full::from(body))
            .unwrap(),
        Reply::Silence => std::future::pending().await,
    }
}

fn fields(body: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned();
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

#[expect(clippy::disallowed_methods, reason = "STS states times by a clock of its own")]
pub(in crate::source) fn issued(action: &str, id: &str, life: Duration) -> Reply {
    let expiration = humantime::format_rfc3339_seconds(std::time::SystemTime::now() + life);
    Reply::Answer(
        200,
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
             <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>wJalr/secret</SecretAccessKey>\
             <SessionToken>FwoG+token==</SessionToken><Expiration>{expiration}</Expiration></Credentials>\
             </{action}Result></{action}Response>"
        ),
    )
}

pub(in crate::source) fn refused(status: u16, code: &str, message: &str) -> Reply {
    Reply::Answer(
        status,
        format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{message}</Message></Error><RequestId>req-1234</RequestId></ErrorResponse>"
        ),
    )
}

pub(in crate::source) fn role(name: &str) -> Role {
    Role {
        arn: format!("arn:aws:iam::123456789012:role/{name}").parse().unwrap(),
        source: CredentialSource::AssumeRole,
        session_name: "payments.checkout-0".parse().unwrap(),
        external_id: None,
        duration: Duration::from_secs(3600),
        tags: Pairs::new(),
        session_policy: None,
        policy_arns: Vec::new(),
    }
}

pub(in crate::source) fn key(name: &str) -> CredentialKey {
    key_of(role(name))
}

pub(in crate::source) fn key_of(role: Role) -> CredentialKey {
    let workload = Workload {
        namespace: "payments".into(),
        pod: "checkout-0".into(),
        service_account: "ledger".into(),
        uid: Uid::new("6f1c"),
        ..Workload::default()
    };
    CredentialKey::new(role, &workload)
}
