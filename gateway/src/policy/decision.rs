//! What came out of asking the plugins, and how.

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
    /// What was resolved, granted or not.
    pub role: Option<RoleArn>,
    pub decided_at: SystemTime,
    /// None: until what it was made from changes.
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
    /// A short role name, and the node's account is not known yet.
    BaseUnknown,
    /// These rules read more of workloads than the roster kept of this one; the roster is being listed anew.
    Relisting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The plugin, or `policy` for the gateway's own rules.
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
    /// It said no, and its mode, or policy's, is audit: counted, but not acted on.
    pub audited: bool,
    pub took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Resolve,
    Authorize,
    AuthorizePath,
}

/// Small, as every workload's decision keeps some: what is said at length lies apart.
#[derive(Clone, Debug)]
pub enum PluginAnswer {
    Abstain,
    /// The role as it wrote it.
    Role(String),
    Allow,
    Deny(Box<Denied>),
    /// It gave no answer.
    Failed(Arc<PluginError>),
}

impl Decision {
    pub(super) fn failed_evaluation(workload: &Workload, why: PluginErrorKind, detail: &str, now: SystemTime) -> Self {
        let fault = PluginError { plugin: POLICY.into(), kind: why, detail: detail.into() };
        Self::unasked(workload, Rejection::Failed(Arc::new(fault)), now)
    }

    pub(super) fn relisting(workload: &Workload, now: SystemTime) -> Self {
        Self::unasked(workload, Rejection::Relisting, now)
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

    fn unasked(workload: &Workload, why: Rejection, now: SystemTime) -> Self {
        Self {
            workload: workload.title(),
            outcome: Outcome::Rejected(why),
            steps: Vec::new(),
            role: None,
            decided_at: now,
            stands_for: None,
        }
    }

    /// Whether asking again could only give the same. A refusal in which a plugin failed is never final: the plugin might have
    /// allowed.
    pub(super) fn is_final(&self) -> bool {
        self.outcome.rejection().is_none_or(|rejection| {
            let passing = matches!(rejection, Rejection::Failed(_) | Rejection::BaseUnknown | Rejection::Relisting);
            !passing && !failed(&self.steps)
        })
    }

    /// Roughly, for a bound on what is remembered.
    pub(super) fn bytes(&self) -> usize {
        let steps: usize = self.steps.iter().map(|step| size_of::<Step>() + step.answer.text_bytes()).sum();
        let grant = if self.outcome.grant().is_some() { size_of::<Grant>() } else { 0 };
        size_of::<Self>() + self.workload.len() + steps + grant
    }

    /// The phase that its last answer came in; nobody was asked where there is none.
    pub fn ended_in(&self) -> Phase {
        self.steps.last().map_or(Phase::Resolve, |step| step.phase)
    }

    /// Whose word it is: who refused, or who named the role that was granted. `policy` is the gateway itself.
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

    /// What would have been refused, were it not for audit mode.
    pub fn audited(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.audited)
    }
}

/// Whether a plugin gave no answer, be it that this was only counted.
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

    /// None where nothing is refused.
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
