//! Everything an operator may know of a running gateway.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Admin;
use crate::{
    config::Mode,
    credential::KeyState,
    explain::rfc3339,
    lifecycle::{Adopted, Refused},
    plugin::{Plugin, digest_hex},
    policy::{Outcome, POLICY, Step, Tallied},
    refusal::Refusal,
    workload::Workload,
};

#[derive(Serialize)]
pub(super) struct State {
    version: &'static str,
    waits_for: Vec<&'static str>,
    configuration: ConfigurationState,
    roster_synced_at: Option<String>,
    workloads: Vec<WorkloadState>,
    credentials: Vec<CredentialState>,
    policy: PolicyState,
    plugins: Vec<PluginState>,
}

#[derive(Serialize)]
struct ConfigurationState {
    adopted_at: String,
    generation: u64,
    /// The last reload, if it was.
    refused: Option<RefusedState>,
}

#[derive(Serialize)]
struct RefusedState {
    at: String,
    error: String,
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
    /// Answers of that decision that would have refused, were it not for audit mode.
    audited: Vec<AuditedState>,
    role_arn: Option<String>,
    session_name: Option<String>,
    credential_expires: Option<String>,
}

#[derive(Serialize)]
struct AuditedState {
    plugin: String,
    phase: &'static str,
    answer: String,
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

/// The gateway's own no, beside the plugins'.
#[derive(Serialize)]
struct PolicyState {
    mode: &'static str,
    denials: BTreeMap<String, u64>,
    audited: BTreeMap<String, u64>,
}

/// Counts are since the start of the process, for all plugins that had this name.
#[derive(Serialize)]
struct PluginState {
    name: String,
    sha256: String,
    mode: &'static str,
    /// In which it was asked.
    decisions: u64,
    /// Those that its no ended, by code.
    denials: BTreeMap<String, u64>,
    /// Its answers that were not acted on, by code or kind of fault.
    audited: BTreeMap<String, u64>,
    faults: BTreeMap<&'static str, u64>,
    last_fault: Option<FaultState>,
    annotations: Vec<String>,
    attributes: Vec<String>,
    labels: Vec<String>,
    namespace_annotations: Vec<String>,
    namespace_labels: Vec<String>,
    service_account_annotations: Vec<String>,
}

#[derive(Serialize)]
struct FaultState {
    at: String,
    text: String,
}

impl Admin {
    pub(super) async fn state(&self) -> State {
        let roster = self.gateway.feed.current().clone();
        let mut workloads: Vec<_> = roster.workloads().map(|workload| self.workload_state(workload)).collect();
        workloads.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
        let mut credentials: Vec<_> = self.keeper.state().await.into_iter().map(CredentialState::from).collect();
        credentials.sort_by(|a, b| (&a.role_arn, &a.session_name).cmp(&(&b.role_arn, &b.session_name)));
        let (rules, tally) = (self.gateway.policy.rules(), self.gateway.telemetry.metrics().tally());
        State {
            version: env!("CARGO_PKG_VERSION"),
            waits_for: self.readiness.waits_for(),
            configuration: ConfigurationState::from(&*self.gateway.configuration.current()),
            roster_synced_at: roster.synced_at().map(rfc3339),
            workloads,
            credentials,
            policy: PolicyState::of(rules.defaults.mode, tally.of(POLICY)),
            plugins: rules.plugins.iter().map(|plugin| PluginState::of(plugin, tally.of(plugin.name()))).collect(),
        }
    }

    fn workload_state(&self, workload: &Workload) -> WorkloadState {
        let decision = workload.memo.latest();
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
            audited: decision.iter().flat_map(|decision| decision.audited()).map(AuditedState::from).collect(),
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

impl From<&Step> for AuditedState {
    fn from(step: &Step) -> Self {
        Self { plugin: step.plugin.clone(), phase: step.phase.label(), answer: step.said.text() }
    }
}

impl From<&Adopted> for ConfigurationState {
    fn from(adopted: &Adopted) -> Self {
        let refused = |refused: &Refused| RefusedState { at: rfc3339(refused.at), error: refused.error.clone() };
        Self {
            adopted_at: rfc3339(adopted.at),
            generation: adopted.generation,
            refused: adopted.refused.as_ref().map(refused),
        }
    }
}

impl PolicyState {
    fn of(mode: Mode, tallied: Tallied) -> Self {
        Self { mode: label(mode), denials: tallied.denials, audited: tallied.audited }
    }
}

impl PluginState {
    fn of(plugin: &Plugin, tallied: Tallied) -> Self {
        let interest = plugin.interest();
        Self {
            name: plugin.name().to_owned(),
            sha256: digest_hex(plugin.digest()),
            mode: label(plugin.mode()),
            decisions: tallied.decisions,
            denials: tallied.denials,
            audited: tallied.audited,
            faults: tallied.faults,
            last_fault: tallied.last_fault.map(|(at, text)| FaultState { at: rfc3339(at), text }),
            annotations: interest.annotations.written().collect(),
            attributes: interest.attributes.written().collect(),
            labels: interest.labels.written().collect(),
            namespace_annotations: interest.namespace_annotations.written().collect(),
            namespace_labels: interest.namespace_labels.written().collect(),
            service_account_annotations: interest.service_account_annotations.written().collect(),
        }
    }
}

fn label(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Audit => "audit",
    }
}
