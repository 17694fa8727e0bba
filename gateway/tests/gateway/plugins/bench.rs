//! A policy to test: its plugins, and the decisions that it made.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use metagate::roster::Entry;
use metagate::{
    clock::Clock,
    config::Mode,
    plugin::{Host, Plugin, PluginError},
    policy::{Defaults, Denial, Grant, Policy, Rejection, Rules},
    refusal::Refusal,
    workload::Workload,
};

use super::guests;

pub(crate) const BASE: &str = "arn:aws:iam::123456789012:role/";

pub(crate) struct Bench {
    pub(crate) policy: Arc<Policy>,
    worked_out: Arc<Mutex<Vec<&'static str>>>,
}

pub(crate) fn defaults() -> Defaults {
    Defaults {
        mode: Mode::Enforce,
        base: Some(BASE.parse().unwrap()),
        role: None,
        session_name: "{namespace}.{pod}".parse().unwrap(),
        session_duration: std::time::Duration::from_secs(3600),
        session_tags: false,
    }
}

impl Bench {
    pub(crate) fn new(plugins: impl Into<Vec<Plugin>>) -> Self {
        Self::under(plugins, defaults())
    }

    pub(crate) fn under(plugins: impl Into<Vec<Plugin>>, defaults: Defaults) -> Self {
        Self::built(guests::host(), Rules::new(plugins.into(), defaults), Clock::system())
    }

    pub(crate) fn built(host: &Host, rules: Rules, clock: Clock) -> Self {
        let worked_out = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&worked_out);
        let observe = Box::new(move |decision: &metagate::policy::Decision| {
            seen.lock().unwrap().push(decision.outcome.label());
        });
        Self { policy: Arc::new(Policy::new(host.clone(), rules, clock, observe)), worked_out }
    }

    /// The outcomes of the decisions that came from no cache, in order.
    pub(crate) fn worked_out(&self) -> Vec<&'static str> {
        self.worked_out.lock().unwrap().clone()
    }

    pub(crate) async fn grant(&self, pod: Workload) -> Result<Arc<Grant>, Rejection> {
        let granted = self.policy.grant(Entry::from(pod).principal()).await;
        granted.map(|granted| granted.grant).map_err(|rejected| rejected.rejection)
    }

    /// The ARN that the pod is granted.
    pub(crate) async fn granted(&self, pod: Workload) -> String {
        match self.grant(pod).await {
            Ok(grant) => grant.role().arn.to_string(),
            Err(rejection) => panic!("not granted, but {rejection:?}"),
        }
    }

    /// Who denies the pod its role, and why. The refusal must be a 403 with the denial's code.
    pub(crate) async fn denied(&self, pod: Workload) -> Denial {
        denial(self.grant(pod).await.unwrap_err())
    }

    /// The failure that refuses the pod.
    pub(crate) async fn failed(&self, pod: Workload) -> PluginError {
        fault(self.grant(pod).await.unwrap_err())
    }

    /// Each step as `plugin phase answer`, followed by `(audited)` if it is.
    pub(crate) async fn steps(&self, pod: Workload) -> Vec<String> {
        let decision = self.policy.explain(Entry::from(pod).principal(), None).await;
        let steps = decision.steps.iter().map(|step| {
            let audited = if step.audited { " (audited)" } else { "" };
            format!("{} {} {}{audited}", step.plugin, step.phase.label(), step.answer.label())
        });
        steps.collect()
    }
}

pub(crate) fn denial(rejection: Rejection) -> Denial {
    let Rejection::Denied(denial) = rejection.clone() else { panic!("not denied, but {rejection:?}") };
    assert_eq!(Refusal::from(rejection).status(), StatusCode::FORBIDDEN);
    Denial::clone(&denial)
}

pub(crate) fn fault(rejection: Rejection) -> PluginError {
    let Rejection::Failed(fault) = rejection.clone() else { panic!("no plugin failed, but {rejection:?}") };
    assert_eq!(Refusal::from(rejection).status(), StatusCode::SERVICE_UNAVAILABLE);
    PluginError::clone(&fault)
}
