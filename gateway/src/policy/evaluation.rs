//! Asks the plugins: `resolve` in order until one answers, then `authorize` of all.
//!
//! Each plugin gets one fresh instance per decision, which is dropped afterwards: nothing leaks from one workload's
//! decision into another's.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{Decision, Grant, Outcome, Phase, PluginAnswer, Rejection, Rules, Step, decision::failed, role::complete};
use crate::{
    clock::rfc3339,
    config::Mode,
    plugin::{
        self, Denied, Host, Instance, Plugin, PluginError, PluginErrorKind, Resolution, RoleAnswer, RoleView, TooMuch,
        Verdict, WorkloadView,
    },
    role::{Role, RoleArn},
    workload::Workload,
};

/// How long a grant is valid if a plugin in audit mode failed. The plugin is asked again soon, but a pod whose
/// decisions all time out in it does not wait at each request: a plugin in audit mode must not cost a pod its access.
const AFTER_AUDITED_FAILURE: Duration = Duration::from_secs(5);

pub(super) async fn run(
    host: Host,
    rules: Arc<Rules>,
    workload: Arc<Workload>,
    path: Option<Arc<str>>,
    now: SystemTime,
) -> Decision {
    let instances = rules.plugins.iter().map(|_| None).collect();
    let mut work = Evaluation {
        host: &host,
        rules: &rules,
        workload: &workload,
        now,
        instances,
        steps: Vec::new(),
        resolved: None,
    };
    let concluded = match path.as_deref() {
        None => work.on_role().await,
        Some(path) => work.on_path(path).await,
    };
    let stands_for = match failed(&work.steps) {
        true => Some(rules.stands_for().map_or(AFTER_AUDITED_FAILURE, |life| life.min(AFTER_AUDITED_FAILURE))),
        false => rules.stands_for(),
    };
    Decision {
        workload: workload.title(),
        outcome: concluded.unwrap_or_else(Outcome::Rejected),
        steps: work.steps,
        role: work.resolved,
        decided_at: now,
        stands_for,
    }
}

struct Evaluation<'a> {
    host: &'a Host,
    rules: &'a Rules,
    workload: &'a Workload,
    now: SystemTime,
    /// One for each plugin, taken when it is first asked.
    instances: Vec<Option<Started>>,
    steps: Vec<Step>,
    resolved: Option<RoleArn>,
}

/// A plugin's instance, and the workload as the plugin sees it.
struct Started {
    instance: Instance,
    view: WorkloadView,
}

/// The resolved role, and the text that named it.
struct Resolved {
    role: Role,
    as_written: String,
}

/// Why a plugin gave no usable answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Fault(#[from] PluginError),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

impl Evaluation<'_> {
    async fn on_role(&mut self) -> Result<Outcome, Rejection> {
        let Some(resolved) = self.resolve().await? else { return Err(Rejection::NoRole) };
        self.resolved = Some(resolved.role.arn.clone());
        let base = self.rules.defaults.base.as_ref().map(|base| base.as_str());
        let role = plugin::role_view(&resolved.role, &resolved.as_written, base);
        let rules = self.rules;
        let mut allowed = false;
        for (index, plugin) in rules.plugins.iter().enumerate() {
            let (began, answer) = (Instant::now(), self.ask_authorize(plugin, index, &role).await);
            allowed |= self.weigh(plugin, Phase::Authorize, began, answer)?;
        }
        if !allowed {
            self.nobody_allowed()?;
        }
        Ok(Outcome::Granted(Arc::new(Grant::new(self.workload, resolved.role))))
    }

    /// The configuration allows the path already, so it is admitted even if every plugin abstains.
    async fn on_path(&mut self, path: &str) -> Result<Outcome, Rejection> {
        let rules = self.rules;
        for (index, plugin) in rules.plugins.iter().enumerate() {
            let (began, answer) = (Instant::now(), self.ask_authorize_path(plugin, index, path).await);
            self.weigh(plugin, Phase::AuthorizePath, began, answer)?;
        }
        Ok(Outcome::Admitted)
    }

    /// The first answer that is not `abstain`; the configured default after that.
    async fn resolve(&mut self) -> Result<Option<Resolved>, Rejection> {
        let rules = self.rules;
        for (index, plugin) in rules.plugins.iter().enumerate() {
            let (began, answer) = (Instant::now(), self.ask_resolve(plugin, index).await);
            let (answer, role) = match answer {
                Ok(Resolution::Abstain) => (PluginAnswer::Abstain, None),
                Ok(Resolution::Role(role)) => (PluginAnswer::Role(plugin::printable(&role.written)), Some(role)),
                Ok(Resolution::Deny(denied)) => (PluginAnswer::Deny(denied.into()), None),
                Err(error) => (error.into_answer(), None),
            };
            self.record(plugin, Phase::Resolve, began, answer)?;
            if let Some(role) = role {
                return self.completed(role, plugin.name()).map(Some);
            }
        }
        match &rules.defaults.role {
            Some(role) => self.completed(RoleAnswer::named(role), POLICY).map(Some),
            None => Ok(None),
        }
    }

    fn completed(&self, answer: RoleAnswer, by: &str) -> Result<Resolved, Rejection> {
        let as_written = answer.written.clone();
        let role = complete(answer, by, self.workload, &self.rules.defaults)?;
        Ok(Resolved { role, as_written })
    }

    /// The gateway's own denial. In audit mode it is only counted, like a plugin's.
    fn nobody_allowed(&mut self) -> Result<(), Rejection> {
        let (code, reason) = ("nobody-allowed", "no policy plugin allows this role for this pod");
        if self.rules.defaults.mode == Mode::Enforce {
            return Err(Rejection::denied(POLICY, code, reason));
        }
        self.steps.push(Step {
            plugin: POLICY.into(),
            phase: Phase::Authorize,
            answer: PluginAnswer::Deny(Denied { code: code.into(), reason: reason.into() }.into()),
            audited: true,
            took: Duration::ZERO,
        });
        Ok(())
    }

    /// Whether the plugin allowed; an error if its answer ends the decision.
    fn weigh(
        &mut self,
        plugin: &Plugin,
        phase: Phase,
        began: Instant,
        answer: Result<Verdict, NoAnswer>,
    ) -> Result<bool, Rejection> {
        let answer = match answer {
            Ok(Verdict::Abstain) => PluginAnswer::Abstain,
            Ok(Verdict::Allow) => PluginAnswer::Allow,
            Ok(Verdict::Deny(denied)) => PluginAnswer::Deny(denied.into()),
            Err(error) => error.into_answer(),
        };
        let allowed = matches!(answer, PluginAnswer::Allow);
        self.record(plugin, phase, began, answer)?;
        Ok(allowed)
    }

    /// Records the answer. A denial or failure ends the evaluation, unless audit mode only counts it. Then the plugin
    /// counts as abstaining, so that its failure never widens what the other plugins would grant.
    fn record(&mut self, plugin: &Plugin, phase: Phase, began: Instant, answer: PluginAnswer) -> Result<(), Rejection> {
        let rejection = match &answer {
            PluginAnswer::Deny(denied) => Some(Rejection::denied(plugin.name(), &denied.code, denied.reason.clone())),
            PluginAnswer::Failed(fault) => Some(Rejection::Failed(Arc::clone(fault))),
            PluginAnswer::Abstain | PluginAnswer::Role(_) | PluginAnswer::Allow => None,
        };
        let only_counted = match (&answer, phase) {
            (PluginAnswer::Deny(_), _) => plugin.mode() == Mode::Audit || self.rules.defaults.mode == Mode::Audit,
            // The plugin might have named a role, and the next plugin's role could be wider.
            (PluginAnswer::Failed(_), Phase::Resolve) => false,
            // Policy's audit mode covers denials, not broken plugins.
            (PluginAnswer::Failed(_), Phase::Authorize | Phase::AuthorizePath) => plugin.mode() == Mode::Audit,
            (PluginAnswer::Abstain | PluginAnswer::Role(_) | PluginAnswer::Allow, _) => false,
        };
        let audited = rejection.is_some() && only_counted;
        self.steps.push(Step { plugin: plugin.shared_name(), phase, answer, audited, took: began.elapsed() });
        match rejection {
            Some(rejection) if !audited => Err(rejection),
            _ => Ok(()),
        }
    }

    async fn ask_resolve(&mut self, plugin: &Plugin, index: usize) -> Result<Resolution, NoAnswer> {
        let started = self.started(plugin, index).await?;
        let answer = started.instance.resolve(&started.view).await;
        self.checked(index, answer)
    }

    async fn ask_authorize(&mut self, plugin: &Plugin, index: usize, role: &RoleView) -> Result<Verdict, NoAnswer> {
        let started = self.started(plugin, index).await?;
        let answer = started.instance.authorize(&started.view, role).await;
        self.checked(index, answer)
    }

    async fn ask_authorize_path(&mut self, plugin: &Plugin, index: usize, path: &str) -> Result<Verdict, NoAnswer> {
        let started = self.started(plugin, index).await?;
        let answer = started.instance.authorize_path(&started.view, path).await;
        self.checked(index, answer)
    }

    /// Drops an instance that failed: it may be in any state, so it is not asked again.
    fn checked<T>(&mut self, index: usize, answer: Result<T, PluginError>) -> Result<T, NoAnswer> {
        if answer.is_err()
            && let Some(slot) = self.instances.get_mut(index)
        {
            *slot = None;
        }
        Ok(answer?)
    }

    async fn started(&mut self, plugin: &Plugin, index: usize) -> Result<&mut Started, NoAnswer> {
        let exhausted = || PluginError {
            plugin: plugin.name().to_owned(),
            kind: PluginErrorKind::Exhausted,
            detail: "the plugin has no instance in this decision".into(),
        };
        let slot = self.instances.get_mut(index).ok_or_else(exhausted)?;
        match slot {
            Some(started) => Ok(started),
            None => {
                let now = plugin.reads_clock().then(|| rfc3339(self.now));
                let view = plugin::workload_view(self.workload, plugin.interest(), now)?;
                let instance = plugin.instance(self.host).await?;
                Ok(slot.insert(Started { instance, view }))
            }
        }
    }
}

impl NoAnswer {
    fn into_answer(self) -> PluginAnswer {
        match self {
            Self::Fault(fault) => PluginAnswer::Failed(fault.into()),
            Self::TooMuch(too_much) => {
                PluginAnswer::Deny(Denied { code: TOO_MUCH.into(), reason: too_much.to_string() }.into())
            }
        }
    }
}

/// The name in place of a plugin's, for decisions of the gateway itself.
pub use crate::config::POLICY;

/// The denial code for a workload with more metadata than the plugin interface carries.
const TOO_MUCH: &str = "too-much-metadata";
