//! The node's own metadata service, as the gateway reaches it.

use std::sync::Arc;

use super::Finding;
use crate::{
    config::{Config, ImdsEndpoint},
    dialect::imds::is_refusal,
    relay::{Probe, ProbeError, probe},
};

const CHECK: &str = "node-imds";

/// Reads with a token whenever the service gives one: a read without one counts in the instance's MetadataNoToken metric,
/// which people watch before they require tokens.
pub(super) async fn look(config: Arc<Config>) -> Vec<Finding> {
    let written = match &config.imds.endpoint {
        ImdsEndpoint::Sandbox => return vec![Finding::skip(CHECK, "sandbox")],
        ImdsEndpoint::Http(written) => written,
    };
    vec![match written.parse() {
        Ok(endpoint) => judge(written, probe(endpoint).await),
        Err(error) => Finding::fail(CHECK, format!("imds.endpoint {error}"), "Name the node's own metadata service."),
    }]
}

fn judge(endpoint: &str, probed: Result<Probe, ProbeError>) -> Finding {
    match probed {
        Ok(probe) if is_refusal(&probe.body) => Finding::fail(
            CHECK,
            format!("{endpoint} is a gateway: the gateway's own requests come back to it"),
            "Run the gateway with hostNetwork, and redirect only what comes from pods (`metagate intercept verify`). \
             `imds.endpoint` must be the node's own service.",
        ),
        Ok(Probe { token_refused: None, status: 200, body }) => {
            Finding::pass(CHECK, format!("{endpoint} gives a session token (IMDSv2), and is {}", shown(&body)))
        }
        Ok(Probe { token_refused: Some(status), status: 200, .. }) => Finding::warn(
            CHECK,
            format!("{endpoint} answers without a token, and gives none (status {status})"),
            "IMDS itself always gives tokens; this is an old mock, or another program's proxy. Check `imds.endpoint`.",
        ),
        Ok(Probe { token_refused: Some(403), status: 403, .. }) => Finding::fail(
            CHECK,
            format!("{endpoint} is switched off for this instance (403)"),
            "Switch it on: aws ec2 modify-instance-metadata-options --http-endpoint enabled. Without it, set \
             `credentials.identity`, `credentials.region` and `credentials.base_role_arn`.",
        ),
        Ok(probe) => Finding::fail(
            CHECK,
            format!("{endpoint} answers a read of the instance id with status {}", probe.status),
            "`imds.endpoint` must be the node's own metadata service.",
        ),
        Err(ProbeError::TokenLate) => Finding::warn(
            CHECK,
            format!("{endpoint} {}", ProbeError::TokenLate),
            "Give the gateway the host's network (hostNetwork): there a hop limit of 1 is enough. Otherwise the \
             answers need --http-put-response-hop-limit 2, which lets every other pod have them too.",
        ),
        Err(error) => Finding::fail(
            CHECK,
            format!("{endpoint}: {error}"),
            "See whether the node has a metadata service, and what stops its own packets to it (nft list ruleset). \
             Without one, set `credentials.identity`, `credentials.region` and `credentials.base_role_arn`.",
        ),
    }
}

/// The instance id, or the beginning of whatever came in its place.
fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().chars().filter(|c| !c.is_control()).take(40).collect()
}
