//! Asking the plugins: resolve until one answers, then authorize by all.
//!
//! Each plugin gets one fresh instance for the whole decision, and it is gone afterwards: nothing leaks from one
//! workload's decision into another's.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{Decision, Grant, Outcome, Phase, PluginAnswer, Rejection, Rules, Step, decision::failed, role::complete};
use crate::{
    config::Mode,
    plugin::{
        self, Denied, Host, Instance, Plugin, PluginError, PluginErrorKind, Resolution, RoleAnswer, RoleView, TooMuch,
        Verdict, WorkloadView,
    },
    role::{Role, RoleArn},
    workload::Workload,
};

/// How long a grant stands in which a plugin in audit mode failed. It is asked again soon, and a pod whose every decision it
/// takes to its timeout is not made to wait for each request: nothing is refused for a plugin that is only tried.
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

/// A plugin's instance with what it is shown.
struct Started {
    instance: Instance,
    shown: WorkloadView,
}

/// A role as resolved, with the words that named it.
struct Resolved {
    role: Role,
    as_written: String,
}

/// Why a plugin gave no answer to act on.
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

    /// The configuration has allowed the path already, so here silence is consent.
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
            let (said, role) = match answer {
                Ok(Resolution::Abstain) => (PluginAnswer::Abstain, None),
                Ok(Resolution::Role(role)) => (PluginAnswer::Role(plugin::printable(&role.written)), Some(role)),
                Ok(Resolution::Deny(denied)) => (PluginAnswer::Deny(denied.into()), None),
                Err(unheard) => (unheard.said(), None),
            };
            self.record(plugin, Phase::Resolve, began, said)?;
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

    /// The gateway's own denial, which audit mode counts like a plugin's.
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

    /// Whether it was allowed; an error where it is refused for good.
    fn weigh(
        &mut self,
        plugin: &Plugin,
        phase: Phase,
        began: Instant,
        answer: Result<Verdict, NoAnswer>,
    ) -> Result<bool, Rejection> {
        let said = match answer {
            Ok(Verdict::Abstain) => PluginAnswer::Abstain,
            Ok(Verdict::Allow) => PluginAnswer::Allow,
            Ok(Verdict::Deny(denied)) => PluginAnswer::Deny(denied.into()),
            Err(unheard) => unheard.said(),
        };
        let allowed = matches!(said, PluginAnswer::Allow);
        self.record(plugin, phase, began, said)?;
        Ok(allowed)
    }

    /// Notes what was said. A no ends the evaluation, unless it is only to be counted: then the plugin counts as
    /// abstaining, so that nothing of an audited plugin's failure widens what others would have given.
    fn record(&mut self, plugin: &Plugin, phase: Phase, began: Instant, said: PluginAnswer) -> Result<(), Rejection> {
        let rejection = match &said {
            PluginAnswer::Deny(denied) => Some(Rejection::denied(plugin.name(), &denied.code, denied.reason.clone())),
            PluginAnswer::Failed(fault) => Some(Rejection::Failed(Arc::clone(fault))),
            PluginAnswer::Abstain | PluginAnswer::Role(_) | PluginAnswer::Allow => None,
        };
        let forgiven = match (&said, phase) {
            (PluginAnswer::Deny(_), _) => plugin.mode() == Mode::Audit || self.rules.defaults.mode == Mode::Audit,
            // Nobody knows which role it would have named, and the next plugin's could be wider.
            (PluginAnswer::Failed(_), Phase::Resolve) => false,
            // Policy's audit mode is about what policy says, not about a plugin that is broken.
            (PluginAnswer::Failed(_), Phase::Authorize | Phase::AuthorizePath) => plugin.mode() == Mode::Audit,
            (PluginAnswer::Abstain | PluginAnswer::Role(_) | PluginAnswer::Allow, _) => false,
        };
        let audited = rejection.is_some() && forgiven;
        self.steps.push(Step { plugin: plugin.shared_name(), phase, answer: said, audited, took: began.elapsed() });
        match rejection {
            Some(rejection) if !audited => Err(rejection),
            _ => Ok(()),
        }
    }

    async fn ask_resolve(&mut self, plugin: &Plugin, index: usize) -> Result<Resolution, NoAnswer> {
        let started = self.started(plugin, index).await?;
        let answer = started.instance.resolve(&started.shown).await;
        self.checked(index, answer)
    }

    async fn ask_authorize(&mut self, plugin: &Plugin, index: usize, role: &RoleView) -> Result<Verdict, NoAnswer> {
        let started = self.started(plugin, index).await?;
        let answer = started.instance.authorize(&started.shown, role).await;
        self.checked(index, answer)
    }

    async fn ask_authorize_path(&mut self, plugin: &Plugin, index: usize, path: &str) -> Result<Verdict, NoAnswer> {
        let started = self.started(plugin, index).await?;
        let answer = started.instance.authorize_path(&started.shown, path).await;
        self.checked(index, answer)
    }

    /// An instance that failed may be in any state, so it is gone before anything else is asked of it.
    fn checked<T>(&mut self, index: usize, answer: Result<T, PluginError>) -> Result<T, NoAnswer> {
        if answer.is_err()
            && let Some(place) = self.instances.get_mut(index)
        {
            *place = None;
        }
        Ok(answer?)
    }

    async fn started(&mut self, plugin: &Plugin, index: usize) -> Result<&mut Started, NoAnswer> {
        let exhausted = || PluginError {
            plugin: plugin.name().to_owned(),
            kind: PluginErrorKind::Exhausted,
            detail: "it has no started in this decision".into(),
        };
        let place = self.instances.get_mut(index).ok_or_else(exhausted)?;
        match place {
            Some(started) => Ok(started),
            None => {
                let now = plugin.reads_clock().then(|| humantime::format_rfc3339_seconds(self.now).to_string());
                let shown = plugin::workload_view(self.workload, plugin.interest(), now)?;
                let instance = plugin.instance(self.host).await?;
                Ok(place.insert(Started { instance, shown }))
            }
        }
    }
}

impl NoAnswer {
    fn said(self) -> PluginAnswer {
        match self {
            Self::Fault(fault) => PluginAnswer::Failed(fault.into()),
            Self::TooMuch(too_much) => {
                PluginAnswer::Deny(Denied { code: TOO_MUCH.into(), reason: too_much.to_string() }.into())
            }
        }
    }
}

/// Who is named where no plugin is.
pub use crate::config::POLICY;

/// The code of a denial for a workload that carries more than plugins can be shown.
const TOO_MUCH: &str = "too-much-metadata";
