//! Everything an operator may know of a running gateway.

use serde::Serialize;

use super::Admin;
use crate::{
    config::Mode,
    credential::KeyState,
    explain::rfc3339,
    plugin::{Plugin, digest_hex},
    policy::Outcome,
    refusal::Refusal,
    workload::Workload,
};

#[derive(Serialize)]
pub(super) struct State {
    version: &'static str,
    waits_for: Vec<&'static str>,
    roster_synced_at: Option<String>,
    workloads: Vec<WorkloadState>,
    credentials: Vec<CredentialState>,
    plugins: Vec<PluginState>,
}

#[derive(Serialize)]
struct WorkloadState {
    namespace: String,
    pod: String,
    uid: String,
    ips: Vec<String>,
    service_account: String,
    /// None before its first decision.
    outcome: Option<&'static str>,
    reason: Option<String>,
    decided_at: Option<String>,
    role_arn: Option<String>,
    session_name: Option<String>,
    credential_expires: Option<String>,
}

#[derive(Serialize)]
struct CredentialState {
    role_arn: String,
    session_name: String,
    wanted: bool,
    expires: Option<String>,
    last_error: Option<&'static str>,
    next_fetch: Option<String>,
}

#[derive(Serialize)]
struct PluginState {
    name: String,
    sha256: String,
    mode: &'static str,
    annotations: Vec<String>,
    attributes: Vec<String>,
    labels: Vec<String>,
    namespace_annotations: Vec<String>,
    namespace_labels: Vec<String>,
    service_account_annotations: Vec<String>,
}

impl Admin {
    pub(super) async fn state(&self) -> State {
        let roster = self.gateway.feed.current().clone();
        let mut workloads: Vec<_> = roster.workloads().map(|workload| self.workload_state(workload)).collect();
        workloads.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
        let mut credentials: Vec<_> = self.keeper.state().await.into_iter().map(CredentialState::from).collect();
        credentials.sort_by(|a, b| (&a.role_arn, &a.session_name).cmp(&(&b.role_arn, &b.session_name)));
        State {
            version: env!("CARGO_PKG_VERSION"),
            waits_for: self.readiness.waits_for(),
            roster_synced_at: roster.synced_at().map(rfc3339),
            workloads,
            credentials,
            plugins: self.gateway.policy.rules().plugins.iter().map(PluginState::from).collect(),
        }
    }

    fn workload_state(&self, workload: &Workload) -> WorkloadState {
        let decision = workload.memo.last();
        let grant = decision.as_ref().and_then(|decision| match &decision.outcome {
            Outcome::Granted(grant) => Some(grant.clone()),
            _ => None,
        });
        let refusal = decision.as_ref().and_then(|decision| decision.outcome.rejection().cloned().map(Refusal::from));
        WorkloadState {
            namespace: workload.namespace.clone(),
            pod: workload.pod.clone(),
            uid: workload.uid.as_str().to_owned(),
            ips: workload.ips.iter().map(ToString::to_string).collect(),
            service_account: workload.service_account.clone(),
            outcome: decision.as_ref().map(|decision| decision.outcome.label()),
            reason: refusal.map(|refusal| refusal.cause().unwrap_or_else(|| refusal.text())),
            decided_at: decision.as_ref().map(|decision| rfc3339(decision.decided_at)),
            role_arn: grant.as_ref().map(|grant| grant.role().arn.to_string()),
            session_name: grant.as_ref().map(|grant| grant.role().session_name.to_string()),
            credential_expires: grant
                .and_then(|grant| self.gateway.credentials.peek(&grant))
                .map(|held| rfc3339(held.expires_at)),
        }
    }
}

impl From<KeyState> for CredentialState {
    fn from(key: KeyState) -> Self {
        Self {
            role_arn: key.role_arn.to_string(),
            session_name: key.session_name.to_string(),
            wanted: key.wanted,
            expires: key.expires_at.map(rfc3339),
            last_error: key.last_error.map(|class| class.label()),
            next_fetch: key.next_fetch.map(rfc3339),
        }
    }
}

impl From<&Plugin> for PluginState {
    fn from(plugin: &Plugin) -> Self {
        let interest = plugin.interest();
        Self {
            name: plugin.name().to_owned(),
            sha256: digest_hex(plugin.digest()),
            mode: match plugin.mode() {
                Mode::Enforce => "enforce",
                Mode::Audit => "audit",
            },
            annotations: interest.annotations.written().collect(),
            attributes: interest.attributes.written().collect(),
            labels: interest.labels.written().collect(),
            namespace_annotations: interest.namespace_annotations.written().collect(),
            namespace_labels: interest.namespace_labels.written().collect(),
            service_account_annotations: interest.service_account_annotations.written().collect(),
        }
    }
}
