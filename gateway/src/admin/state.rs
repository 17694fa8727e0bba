//! Everything that an operator may know about a running gateway: `/api/v1/state`, and what the status page shows.

use std::{collections::BTreeMap, time::SystemTime};

use serde::{Serialize, Serializer};

use crate::{clock::rfc3339, credential::FetchErrorKind, lifecycle::Part, plugin::PluginErrorKind, remedy::Remedy};

#[derive(Serialize)]
pub(super) struct State {
    pub(super) version: &'static str,
    pub(super) node: String,
    /// Empty where `telemetry.cluster` is.
    pub(super) cluster: String,
    #[serde(serialize_with = "moment")]
    pub(super) now: SystemTime,
    #[serde(serialize_with = "moment")]
    pub(super) started_at: SystemTime,
    /// Empty: ready.
    #[serde(serialize_with = "labels")]
    pub(super) waits_for: Vec<Part>,
    pub(super) configuration: ConfigurationState,
    pub(super) roster: RosterState,
    pub(super) source: SourceState,
    /// None: nobody watches the node's redirect.
    pub(super) redirect: Option<RedirectState>,
    /// By namespace and name.
    pub(super) workloads: Vec<WorkloadState>,
    /// By role and session name.
    pub(super) credentials: Vec<CredentialState>,
    pub(super) policy: PolicyState,
    pub(super) plugins: Vec<PluginState>,
    /// Newest first. Repeated refusals of one pod are one entry.
    pub(super) refusals: Vec<RefusalState>,
    /// Oldest first.
    pub(super) traffic: Vec<TrafficState>,
}

#[derive(Serialize)]
pub(super) struct ConfigurationState {
    #[serde(serialize_with = "moment")]
    pub(super) adopted_at: SystemTime,
    pub(super) generation: u64,
    /// Set if the last reload was refused.
    pub(super) refused: Option<RefusedState>,
}

#[derive(Serialize)]
pub(super) struct RefusedState {
    #[serde(serialize_with = "moment")]
    pub(super) at: SystemTime,
    pub(super) error: String,
}

#[derive(Serialize)]
pub(super) struct RosterState {
    /// `kubernetes` or `fixed`.
    pub(super) source: &'static str,
    #[serde(serialize_with = "perhaps")]
    pub(super) synced_at: Option<SystemTime>,
    /// Changes of pods may have been missed since then. None: every watch is current.
    #[serde(serialize_with = "perhaps")]
    pub(super) outdated_since: Option<SystemTime>,
}

#[derive(Serialize)]
pub(super) struct SourceState {
    /// `sts` or `sandbox`.
    pub(super) kind: &'static str,
    #[serde(serialize_with = "perhaps")]
    pub(super) last_success: Option<SystemTime>,
    pub(super) last_failure: Option<SourceFailure>,
}

#[derive(Clone, Serialize)]
pub(super) struct SourceFailure {
    #[serde(serialize_with = "moment")]
    pub(super) at: SystemTime,
    #[serde(serialize_with = "label")]
    pub(super) class: FetchErrorKind,
}

#[derive(Serialize)]
pub(super) struct RedirectState {
    /// The rules are in place, as seen within the last two minutes.
    pub(super) present: bool,
    /// The last look is older than two minutes.
    pub(super) stale: bool,
    pub(super) checked_at: String,
    pub(super) redirected_connections: u64,
    /// Each rule as sentences.
    pub(super) foreign_rules: Vec<String>,
    pub(super) error: Option<String>,
}

#[derive(Serialize)]
pub(super) struct WorkloadState {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) ips: Vec<String>,
    pub(super) service_account: String,
    /// `granted`, `no-role`, `denied`, `failed`, …; None before its first decision.
    pub(super) outcome: Option<&'static str>,
    pub(super) reason: Option<String>,
    #[serde(serialize_with = "perhaps")]
    pub(super) decided_at: Option<SystemTime>,
    /// Answers in that decision that audit mode did not act on: they would have refused.
    pub(super) audited: Vec<AuditedState>,
    pub(super) role_arn: Option<String>,
    pub(super) session_name: Option<String>,
    /// The `id` of the credential for its grant. `credentials` has it once the keeper knows the grant.
    pub(super) credential: Option<String>,
    /// Of the credential held for it.
    pub(super) access_key_id: Option<String>,
    #[serde(serialize_with = "perhaps")]
    pub(super) credential_issued: Option<SystemTime>,
    #[serde(serialize_with = "perhaps")]
    pub(super) credential_expires: Option<SystemTime>,
}

#[derive(Serialize)]
pub(super) struct AuditedState {
    pub(super) plugin: String,
    pub(super) phase: &'static str,
    pub(super) answer: String,
}

#[derive(Serialize)]
pub(super) struct CredentialState {
    /// Credentials with the same role and session name may differ in session tags, session policy, external id or web
    /// identity token. Opaque; changes at each restart.
    pub(super) id: String,
    pub(super) role_arn: String,
    pub(super) session_name: String,
    pub(super) wanted: bool,
    #[serde(serialize_with = "perhaps")]
    pub(super) expires: Option<SystemTime>,
    #[serde(serialize_with = "perhaps_label")]
    pub(super) last_error: Option<FetchErrorKind>,
    /// How to mend that.
    pub(super) remedy: Option<Remedy>,
    #[serde(serialize_with = "perhaps")]
    pub(super) next_fetch: Option<SystemTime>,
}

/// Denials by the gateway's own rules, beside the plugins'.
#[derive(Serialize)]
pub(super) struct PolicyState {
    pub(super) mode: &'static str,
    pub(super) denials: BTreeMap<String, u64>,
    pub(super) audited: BTreeMap<String, u64>,
}

/// Counts since the process started, of all plugins that had this name.
#[derive(Serialize)]
pub(super) struct PluginState {
    pub(super) name: String,
    /// None: it is built in.
    pub(super) path: Option<String>,
    /// The version of the interface that it was built for, such as `0.1.0`.
    pub(super) interface: String,
    pub(super) sha256: String,
    /// `enforce` or `audit`.
    pub(super) mode: &'static str,
    /// Decisions in which it was asked.
    pub(super) decisions: u64,
    /// The mean and longest time of its calls, in microseconds. None before the first call.
    pub(super) mean_microseconds: Option<u64>,
    pub(super) longest_microseconds: Option<u64>,
    /// Decisions that it denied, by code.
    pub(super) denials: BTreeMap<String, u64>,
    /// Answers that audit mode did not act on, by code or kind of failure.
    pub(super) audited: BTreeMap<String, u64>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) last_fault: Option<FaultState>,
    pub(super) annotations: Vec<String>,
    pub(super) attributes: Vec<String>,
    pub(super) labels: Vec<String>,
    pub(super) namespace_annotations: Vec<String>,
    pub(super) namespace_labels: Vec<String>,
    pub(super) service_account_annotations: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct FaultState {
    #[serde(serialize_with = "moment")]
    pub(super) at: SystemTime,
    #[serde(serialize_with = "kind")]
    pub(super) kind: PluginErrorKind,
    pub(super) text: String,
}

#[derive(Serialize)]
pub(super) struct RefusalState {
    /// When it last happened.
    #[serde(serialize_with = "moment")]
    pub(super) at: SystemTime,
    /// How often it happened while this entry has been kept.
    pub(super) times: u64,
    /// Of the last request; the pod's owner quotes it.
    pub(super) request_id: String,
    pub(super) peer: String,
    /// `namespace/pod`. None: the caller was not identified.
    pub(super) pod: Option<String>,
    pub(super) route: &'static str,
    pub(super) status: u16,
    /// Such as `denied` or `no-role`.
    pub(super) reason: &'static str,
    /// For operators.
    pub(super) cause: String,
}

/// Requests of pods in the `seconds` from `at` on.
#[derive(Serialize)]
pub(super) struct TrafficState {
    #[serde(serialize_with = "moment")]
    pub(super) at: SystemTime,
    pub(super) seconds: u64,
    pub(super) requests: u64,
    /// Credentials answered from the cache.
    pub(super) hits: u64,
    pub(super) refusals: u64,
}

fn moment<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

fn perhaps<S: Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => moment(at, serializer),
        None => serializer.serialize_none(),
    }
}

fn label<S: Serializer>(class: &FetchErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.label())
}

fn perhaps_label<S: Serializer>(class: &Option<FetchErrorKind>, serializer: S) -> Result<S::Ok, S::Error> {
    match class {
        Some(class) => label(class, serializer),
        None => serializer.serialize_none(),
    }
}

fn kind<S: Serializer>(kind: &PluginErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.label())
}

fn labels<S: Serializer>(parts: &[Part], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parts.iter().map(|part| part.label()))
}
