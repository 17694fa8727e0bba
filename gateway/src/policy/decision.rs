//! A decision: its outcome, and each plugin's answer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Grant, POLICY};
use crate::{
    plugin::{Denied, PluginError, PluginErrorKind},
    role::RoleArn,
    workload::Workload,
};

#[derive(Debug)]
pub struct Decision {
    /// `namespace/pod`.
    pub workload: String,
    pub outcome: Outcome,
    pub steps: Vec<Step>,
    /// The resolved role, granted or not.
    pub role: Option<RoleArn>,
    pub decided_at: SystemTime,
    /// How long it is valid. None: until its inputs change.
    pub stands_for: Option<Duration>,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Granted(Arc<Grant>),
    /// The path may be read.
    Admitted,
    Rejected(Rejection),
}

#[derive(Clone, Debug)]
pub enum Rejection {
    NoRole,
    Denied(Arc<Denial>),
    Failed(Arc<PluginError>),
    /// The role is a short name, and the node's account is not known yet.
    BaseUnknown,
    /// The rules read more than the roster kept of this workload; the roster relists.
    Relisting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The name of the plugin, or `policy` for the gateway's own rules.
    pub by: String,
    pub code: String,
    pub reason: String,
}

/// One plugin's answer in one phase.
#[derive(Clone, Debug)]
pub struct Step {
    pub plugin: Arc<str>,
    pub phase: Phase,
    pub answer: PluginAnswer,
    /// A denial or failure that was counted but not acted on, because the mode of the plugin or of policy is audit.
    pub audited: bool,
    pub took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Resolve,
    Authorize,
    AuthorizePath,
}

/// Small, because every workload's decision holds several: long contents are boxed.
#[derive(Clone, Debug)]
pub enum PluginAnswer {
    Abstain,
    /// The role as the plugin wrote it.
    Role(String),
    Allow,
    Deny(Box<Denied>),
    /// It gave no answer.
    Failed(Arc<PluginError>),
}

impl Decision {
    pub(super) fn failed_evaluation(workload: &Workload, why: PluginErrorKind, detail: &str, now: SystemTime) -> Self {
        let fault = PluginError { plugin: POLICY.into(), kind: why, detail: detail.into() };
        Self::without_steps(workload, Rejection::Failed(Arc::new(fault)), now)
    }

    pub(super) fn relisting(workload: &Workload, now: SystemTime) -> Self {
        Self::without_steps(workload, Rejection::Relisting, now)
    }

    #[cfg(test)]
    pub(crate) fn for_test(workload: &Workload, arn: &str) -> Self {
        let role = crate::role::Role {
            arn: arn.parse().unwrap(),
            source: crate::role::CredentialSource::AssumeRole,
            session_name: "session".parse().unwrap(),
            external_id: None,
            duration: Duration::from_secs(3600),
            tags: crate::pairs::Pairs::new(),
            session_policy: None,
            policy_arns: Vec::new(),
        };
        let outcome = Outcome::Granted(Arc::new(Grant::for_test(workload, role)));
        Self { outcome, ..Self::relisting(workload, SystemTime::UNIX_EPOCH) }
    }

    fn without_steps(workload: &Workload, why: Rejection, now: SystemTime) -> Self {
        Self {
            workload: workload.title(),
            outcome: Outcome::Rejected(why),
            steps: Vec::new(),
            role: None,
            decided_at: now,
            stands_for: None,
        }
    }

    /// Whether the decision may be cached. A rejection is not final if a plugin failed: that plugin might have allowed.
    pub(super) fn is_final(&self) -> bool {
        self.outcome.rejection().is_none_or(|rejection| {
            let passing = matches!(rejection, Rejection::Failed(_) | Rejection::BaseUnknown | Rejection::Relisting);
            !passing && !failed(&self.steps)
        })
    }

    /// Roughly, for the bound on the cache.
    pub(super) fn bytes(&self) -> usize {
        let steps: usize = self.steps.iter().map(|step| size_of::<Step>() + step.answer.text_bytes()).sum();
        let grant = if self.outcome.grant().is_some() { size_of::<Grant>() } else { 0 };
        size_of::<Self>() + self.workload.len() + steps + grant
    }

    /// The phase of its last answer. Without answers it is `Resolve`: no plugin was asked.
    pub fn ended_in(&self) -> Phase {
        self.steps.last().map_or(Phase::Resolve, |step| step.phase)
    }

    /// The plugin that refused, or that named the granted role; `policy` for the gateway itself.
    pub fn ended_by(&self) -> &str {
        let resolved = || self.steps.iter().find(|step| matches!(step.answer, PluginAnswer::Role(_)));
        match &self.outcome {
            Outcome::Granted(_) => resolved().map_or(POLICY, |step| &step.plugin),
            Outcome::Rejected(Rejection::Denied(denial)) => &denial.by,
            Outcome::Rejected(Rejection::Failed(fault)) => &fault.plugin,
            Outcome::Admitted | Outcome::Rejected(_) => POLICY,
        }
    }

    /// Warns of each answer that audit mode did not act on.
    pub(super) fn log_audited(&self) {
        for step in self.audited() {
            tracing::warn!(
                target: "metagate::audit",
                workload = self.workload,
                plugin = &*step.plugin,
                phase = step.phase.label(),
                said = step.answer.text(),
                "would be refused, were it not for audit mode"
            );
        }
    }

    /// The answers that audit mode did not act on.
    pub fn audited(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.audited)
    }
}

/// Whether a plugin failed, even if audit mode only counted that.
pub(super) fn failed(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step.answer, PluginAnswer::Failed(_)))
}

impl Outcome {
    pub fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Granted(grant) => Some(grant),
            Self::Admitted | Self::Rejected(_) => None,
        }
    }

    /// None if nothing is refused.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Granted(_) | Self::Admitted => None,
            Self::Rejected(rejection) => Some(rejection),
        }
    }

    /// A metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::Admitted => "admitted",
            Self::Rejected(Rejection::NoRole) => "no-role",
            Self::Rejected(Rejection::Denied(_)) => "denied",
            Self::Rejected(Rejection::Failed(_)) => "failed",
            Self::Rejected(Rejection::BaseUnknown) => "base-unknown",
            Self::Rejected(Rejection::Relisting) => "relisting",
        }
    }
}

impl Rejection {
    pub(super) fn denied(by: &str, code: &str, reason: impl Into<String>) -> Self {
        Self::Denied(Arc::new(Denial { by: by.into(), code: code.into(), reason: reason.into() }))
    }
}

impl Phase {
    /// A metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Authorize => "authorize",
            Self::AuthorizePath => "authorize-path",
        }
    }
}

impl PluginAnswer {
    /// A metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Abstain => "abstain",
            Self::Role(_) => "role",
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
            Self::Failed(fault) => fault.kind.label(),
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            Self::Abstain | Self::Allow => 0,
            Self::Role(role) => role.len(),
            Self::Deny(denied) => denied.code.len() + denied.reason.len(),
            Self::Failed(fault) => fault.plugin.len() + fault.detail.len(),
        }
    }

    /// For a person.
    pub fn text(&self) -> String {
        match self {
            Self::Abstain => "abstains".into(),
            Self::Role(role) => format!("role {role}"),
            Self::Allow => "allows".into(),
            Self::Deny(denied) => format!("denies: {}: {}", denied.code, denied.reason),
            Self::Failed(fault) => format!("{}: {}", fault.kind.label(), fault.detail),
        }
    }
}
