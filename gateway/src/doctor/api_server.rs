//! The API server: whether it answers, what the gateway may do there, and its clock.

use std::{sync::Arc, time::Duration};

use ::kube::{Client, client::Body};
use http::{Request, StatusCode, header::DATE};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::apimachinery::pkg::version::Info;
use tokio::time::timeout;

use super::{Finding, no_cluster, rights, skew};
use crate::{
    clock::{Clock, of_http_date},
    config::Config,
    kubernetes::Cluster,
};

const CHECK: &str = "api-server";
const CLOCK: &str = "api-clock";
/// An API server's version takes about 300 bytes.
const BODY_MAX: usize = 64 * 1024;

pub(super) async fn look(config: Arc<Config>, patience: Duration, clock: Clock) -> Vec<Finding> {
    let skip =
        |why: &str| [CHECK, CLOCK].iter().chain(&rights::CHECKS).map(|check| Finding::skip(check, why)).collect();
    if let Some(why) = no_cluster(&config.roster.source) {
        return skip(why);
    }
    let found = Cluster::find(config.kubernetes.kubeconfig.as_deref()).await;
    let (url, client) = match found.and_then(|cluster| Ok((cluster.url(), cluster.client()?))) {
        Ok(found) => found,
        Err(error) => {
            let mut findings: Vec<_> = skip("no API server");
            let cure =
                "In a cluster, the gateway's pod needs its service account token (automountServiceAccountToken).";
            findings.splice(..1, [Finding::fail(CHECK, error.to_string(), cure)]);
            return findings;
        }
    };
    match reach(&client, &url, patience, &clock).await {
        Ok(reached) => {
            let rights = rights::look(&client, &config, patience).await;
            reached.into_iter().chain(rights).collect()
        }
        Err(unreached) => {
            let mut findings: Vec<_> = skip("no API server");
            findings.splice(..1, [unreached]);
            findings
        }
    }
}

/// Asks for its version, which every authenticated client may read.
async fn reach(client: &Client, url: &str, patience: Duration, clock: &Clock) -> Result<Vec<Finding>, Finding> {
    let network = "Check that the node reaches that address (routes, security groups, a NetworkPolicy on the gateway). \
                   Known pods are served meanwhile.";
    let fail = |found: String, cure: &str| Finding::fail(CHECK, format!("{url} {found}"), cure);
    let request = Request::get("/version").body(Body::empty()).map_err(|error| fail(error.to_string(), network))?;
    let answer = timeout(patience, client.send(request)).await;
    let answer = answer.map_err(|_| fail(format!("gives no answer within {patience:?}"), network))?;
    let answer = answer.map_err(|error| fail(format!("cannot be reached: {}", causes(error)), network))?;
    let here = clock.now();
    let (head, body) = answer.into_parts();
    match head.status {
        StatusCode::UNAUTHORIZED => {
            let cure = "The token is expired or from another cluster: check the pod's service account and its token \
                        volume, or `kubernetes.kubeconfig`.";
            return Err(fail("does not accept the gateway's token (401)".to_owned(), cure));
        }
        status if status.is_server_error() => {
            let cure = "Check the API server and its etcd (/readyz?verbose).";
            return Err(fail(format!("answers with status {}", status.as_u16()), cure));
        }
        _ => {}
    }
    let body = timeout(patience, Limited::new(body, BODY_MAX).collect()).await.ok().and_then(Result::ok);
    let version = body.and_then(|body| serde_json::from_slice::<Info>(&body.to_bytes()).ok());
    let version = version.map_or_else(String::new, |version| format!(" as {}", version.git_version));
    let date = head.headers.get(DATE).and_then(|date| of_http_date(date.to_str().ok()?));
    Ok(vec![
        Finding::pass(CHECK, format!("{url} answers{version}")),
        match date {
            Some(there) => skew::judge(CLOCK, "the API server's", there, here),
            None => Finding::skip(CLOCK, "its answer has no Date header"),
        },
    ])
}

/// The client's own message is left out: it repeats the next cause.
fn causes(error: ::kube::Error) -> String {
    let error = anyhow::Error::from(error);
    let behind: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
    if behind.is_empty() { error.to_string() } else { behind.join(": ") }
}
