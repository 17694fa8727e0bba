//! Makes the state that operators see from the gateway's parts.

use std::time::{Duration, Instant, SystemTime};

use super::{
    Admin,
    state::{
        AuditedState, ConfigurationState, CredentialState, FaultState, PluginState, PolicyState, RedirectState,
        RefusalState, RefusedState, RosterState, SourceFailure, SourceState, State, TrafficState, WorkloadState,
    },
};
use crate::{
    config::{Mode, PluginCode},
    credential::KeyState,
    intercept::Status,
    lifecycle::{Adopted, RejectedReload},
    plugin::{Plugin, digest_hex},
    policy::{Counts, POLICY, Step},
    refusal::Refusal,
    remedy,
    roster::Entry,
    telemetry::{self, Interval, SourceHealth},
};

impl Admin {
    pub(super) async fn state(&self) -> State {
        let gateway = &self.gateway;
        let (now, roster) = (gateway.clock.now(), gateway.feed.current().clone());
        let mut workloads: Vec<_> = roster.entries().map(|entry| self.workload_state(entry)).collect();
        workloads.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
        let credentials = self.keeper.state().await.into_iter().map(CredentialState::from).collect();
        let (rules, metrics) = (gateway.policy.rules(), gateway.telemetry.metrics());
        let (tally, traffic) = (metrics.tally(), metrics.traffic());
        State {
            version: env!("CARGO_PKG_VERSION"),
            node: self.settings.node.clone(),
            cluster: self.settings.cluster.clone(),
            now,
            started_at: self.started_at,
            waits_for: self.readiness.waits_for(),
            configuration: ConfigurationState::from(&*gateway.configuration.current()),
            roster: RosterState {
                source: self.settings.roster,
                synced_at: roster.synced_at(),
                outdated_since: gateway.feed.outdated_since(),
            },
            source: source_state(self.settings.source, traffic.source(), now),
            redirect: self.redirect_state(now),
            workloads,
            credentials,
            policy: PolicyState::of(rules.defaults.mode, tally.of(POLICY)),
            plugins: rules.plugins.iter().map(|plugin| PluginState::of(plugin, tally.of(plugin.name()))).collect(),
            refusals: gateway.telemetry.refusals().newest().into_iter().map(|one| RefusalState::of(one, now)).collect(),
            traffic: traffic.intervals().into_iter().map(|interval| TrafficState::of(interval, now)).collect(),
        }
    }

    fn workload_state(&self, entry: &Entry) -> WorkloadState {
        let (workload, decision) = (&entry.workload, entry.decision.latest());
        let grant = decision.as_ref().and_then(|decision| decision.outcome.grant());
        let refusal = decision.as_ref().and_then(|decision| decision.outcome.rejection().cloned().map(Refusal::from));
        let held = grant.and_then(|grant| self.gateway.credentials.peek(grant));
        WorkloadState {
            namespace: workload.namespace.clone(),
            pod: workload.pod.clone(),
            uid: workload.uid.as_str().to_owned(),
            ips: workload.ips.iter().map(ToString::to_string).collect(),
            service_account: workload.service_account.clone(),
            outcome: decision.as_ref().map(|decision| decision.outcome.label()),
            reason: refusal.map(|refusal| refusal.cause().unwrap_or_else(|| refusal.text())),
            decided_at: decision.as_ref().map(|decision| decision.decided_at),
            audited: decision.iter().flat_map(|decision| decision.audited()).map(AuditedState::from).collect(),
            role_arn: grant.map(|grant| grant.role().arn.to_string()),
            session_name: grant.map(|grant| grant.role().session_name.to_string()),
            credential: grant.map(|grant| grant.key().id()),
            access_key_id: held.as_ref().map(|held| held.access_key_id.clone()),
            credential_issued: held.as_ref().map(|held| held.issued_at),
            credential_expires: held.as_ref().map(|held| held.expires_at),
        }
    }

    fn redirect_state(&self, now: SystemTime) -> Option<RedirectState> {
        let status = Status::look(&self.gateway.redirect_status)?;
        Some(RedirectState {
            present: status.present && !status.is_stale(now),
            stale: status.is_stale(now),
            redirected_connections: status.redirected_connections,
            foreign_rules: status.foreign_rules.iter().map(ToString::to_string).collect(),
            error: status.error,
            checked_at: status.checked_at,
        })
    }
}

fn source_state(kind: &'static str, health: SourceHealth, now: SystemTime) -> SourceState {
    SourceState {
        kind,
        last_success: health.succeeded.map(|at| moment(at, now)),
        last_failure: health.failed.map(|(at, class)| SourceFailure { at: moment(at, now), class }),
    }
}

/// A moment of the monotonic clock as wall-clock time.
fn moment(at: Instant, now: SystemTime) -> SystemTime {
    before(now, at.elapsed())
}

fn before(now: SystemTime, ago: Duration) -> SystemTime {
    now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl RefusalState {
    fn of(refused: telemetry::RecentRefusal, now: SystemTime) -> Self {
        Self {
            at: moment(refused.at, now),
            times: refused.times,
            request_id: refused.request_id.to_string(),
            peer: refused.peer.to_string(),
            pod: refused.pod,
            route: refused.route,
            status: refused.status,
            reason: refused.reason,
            cause: refused.cause,
        }
    }
}

impl TrafficState {
    fn of(interval: Interval, now: SystemTime) -> Self {
        Self {
            at: before(now, interval.ago),
            seconds: interval.lasted.as_secs_f64().round() as u64,
            requests: interval.requests,
            hits: interval.hits,
            refusals: interval.refusals,
        }
    }
}

impl From<KeyState> for CredentialState {
    fn from(state: KeyState) -> Self {
        let role = state.key.role();
        Self {
            id: state.key.id(),
            role_arn: role.arn.to_string(),
            session_name: role.session_name.to_string(),
            wanted: state.wanted,
            expires: state.expires_at,
            last_error: state.last_error.as_ref().map(|error| error.class),
            remedy: state.last_error.as_ref().map(|error| remedy::of_fetch(error, &state.key)),
            next_fetch: state.next_fetch,
        }
    }
}

impl From<&Step> for AuditedState {
    fn from(step: &Step) -> Self {
        Self { plugin: step.plugin.to_string(), phase: step.phase.label(), answer: step.answer.text() }
    }
}

impl From<&Adopted> for ConfigurationState {
    fn from(adopted: &Adopted) -> Self {
        let refused = |refused: &RejectedReload| RefusedState { at: refused.at, error: refused.error.clone() };
        Self { adopted_at: adopted.at, generation: adopted.generation, refused: adopted.refused.as_ref().map(refused) }
    }
}

impl PolicyState {
    fn of(mode: Mode, counts: Counts) -> Self {
        Self { mode: label(mode), denials: counts.denials, audited: counts.audited }
    }
}

impl PluginState {
    fn of(plugin: &Plugin, counts: Counts) -> Self {
        let interest = plugin.interest();
        let microseconds = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let calls = u32::try_from(counts.calls).unwrap_or(u32::MAX);
        let was_called = counts.calls > 0;
        Self {
            name: plugin.name().to_owned(),
            path: match &plugin.settings().code {
                PluginCode::Builtin(_) => None,
                PluginCode::File { path, .. } => Some(path.display().to_string()),
            },
            interface: plugin.interface().to_owned(),
            sha256: digest_hex(plugin.digest()),
            mode: label(plugin.mode()),
            decisions: counts.decisions,
            mean_microseconds: was_called.then(|| microseconds(counts.took / calls)),
            longest_microseconds: was_called.then(|| microseconds(counts.longest)),
            denials: counts.denials,
            audited: counts.audited,
            faults: counts.faults,
            last_fault: counts.last_fault.map(|(at, kind, text)| FaultState { at, kind, text }),
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
