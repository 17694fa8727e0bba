//! Runs cases against a plugin, in the gateway's own sandbox.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use tracing::instrument::WithSubscriber;

use super::{
    captured_log::CapturedLog,
    cases::{Case, Cases},
    compare::{Difference, Got, differences},
    expect::Expected,
    question::{Expectation, Phase, Question},
    report::Report,
    table::plugin_name,
};
use crate::{
    config::{self, PluginCode},
    interest::{Interest, image_attribute},
    pairs::Pairs,
    plugin::{
        Compiled, Host, Instance, LoadError, Plugin, PluginError, Resolution, Verdict, WorkloadView, printable,
        workload_view,
    },
    policy::{Defaults, Rejection, complete},
    workload::Workload,
};

/// The result of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    pub name: String,
    pub passed: bool,
    pub phases: Vec<PhaseResult>,
    /// Linear memory of the last instance.
    pub memory_bytes: Option<usize>,
    /// Likely reasons of a failure.
    pub notes: Vec<String>,
    /// What the plugin wrote to the gateway's log.
    pub log: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PhaseResult {
    pub phase: Phase,
    pub microseconds: u64,
    /// For a person.
    pub answer: String,
    /// Empty if the answer is as expected.
    pub differences: Vec<Difference>,
}

impl Cases {
    /// The plugin's table for `file`, with this configuration.
    pub fn settings(&self, file: &Path, config: serde_json::Value) -> config::Plugin {
        let code = PluginCode::File { path: file.to_owned(), sha256: None };
        config::Plugin { name: plugin_name(file), code, config, ..self.settings.clone() }
    }
}

/// Runs one case after the other, each with fresh instances. An error means that the plugin cannot be loaded and no case
/// ran.
pub async fn run(host: &Host, cases: &Cases, file: &Path) -> Result<Report, LoadError> {
    let compiled = Compiled::of(host, &cases.settings(file, serde_json::Value::Null)).await?;
    compiled.vet(host)?;
    let mut trials = Vec::new();
    for case in &cases.cases {
        let log = CapturedLog::default();
        let run = Run { host, case, defaults: &cases.defaults, trial: Trial::of(case) };
        let settings = cases.settings(file, case.config.clone());
        let trial = run.run(&compiled, settings).with_subscriber(log.subscriber()).await;
        trials.push(Trial { log: log.lines(), ..trial });
    }
    Ok(Report::of(plugin_name(file), compiled.digest(), trials))
}

struct Run<'a> {
    host: &'a Host,
    case: &'a Case,
    defaults: &'a Defaults,
    trial: Trial,
}

impl Run<'_> {
    async fn run(mut self, compiled: &Compiled, settings: config::Plugin) -> Trial {
        if let Some((plugin, instance)) = self.start(compiled, settings).await {
            self.decide(&plugin, instance).await;
            if !self.trial.passed {
                self.trial.notes = unseen(&self.case.workload, plugin.interest());
            }
        }
        self.trial
    }

    async fn start(&mut self, compiled: &Compiled, settings: config::Plugin) -> Option<(Plugin, Instance)> {
        let init = self.case.expectations.iter().find(|expectation| matches!(expectation.question, Question::Init));
        let expected = init.map_or(&Expected::Ready, |expectation| &expectation.expected);
        let mut began = Instant::now();
        let mut started = match Plugin::configured(self.host, compiled, settings).await {
            Ok(plugin) => {
                // The first instance has seconds to start; this one has the time limit of a decision's.
                began = Instant::now();
                plugin.instance(self.host).await.map(|instance| (plugin, instance)).map_err(Got::Fails)
            }
            Err(LoadError::Init(fault)) => Err(Got::Fails(fault)),
            Err(other) => Err(Got::Unusable(other.to_string())),
        };
        let took = began.elapsed();
        self.trial.memory_bytes = started.as_mut().ok().map(|(_, instance)| instance.memory());
        let (started, got) = match started {
            Ok(started) => (Some(started), Got::Ready),
            Err(got) => (None, got),
        };
        self.trial.record(Phase::Init, took, expected, &got);
        started.filter(|_| init.is_none())
    }

    /// Uses instances as the gateway does: one for both questions about a role, another for a path, a new one after a
    /// failure.
    async fn decide(&mut self, plugin: &Plugin, first: Instance) {
        let case = self.case;
        let shown = workload_view(&case.workload, plugin.interest(), case.now.clone());
        let mut held = Some(first);
        for Expectation { question, expected } in &case.expectations {
            if question.phase() == Phase::AuthorizePath && case.expectations.len() > 1 {
                held = None;
            }
            let instance = match held.take() {
                Some(instance) => Ok(instance),
                None => plugin.instance(self.host).await,
            };
            let began = Instant::now();
            let got = match (instance, &shown) {
                (Ok(mut instance), Ok(shown)) => {
                    let got = answer(&mut instance, shown, question).await;
                    self.trial.memory_bytes = Some(instance.memory());
                    held = Some(instance).filter(|_| got.is_ok());
                    got.unwrap_or_else(Got::Fails)
                }
                (Err(fault), _) => Got::Fails(fault),
                (_, Err(too_much)) => Got::Unusable(too_much.to_string()),
            };
            let got = self.completed(got);
            self.trial.record(question.phase(), began.elapsed(), expected, &got);
        }
    }

    /// A role that the gateway would refuse does not count as an answer, even if it is the expected one.
    fn completed(&self, got: Got) -> Got {
        let Got::Role(role) = &got else { return got };
        match complete((**role).clone(), "policy", &self.case.workload, self.defaults) {
            Err(Rejection::Denied(denial)) => {
                Got::Unusable(format!("{}, which the gateway refuses: {}", got.text(), denial.reason))
            }
            _ => got,
        }
    }
}

async fn answer(instance: &mut Instance, shown: &WorkloadView, question: &Question) -> Result<Got, PluginError> {
    let verdict = |verdict| match verdict {
        Verdict::Abstain => Got::Abstain,
        Verdict::Allow => Got::Allow,
        Verdict::Deny(denied) => Got::Deny(denied),
    };
    Ok(match question {
        Question::Init => Got::Ready,
        Question::Resolve => match instance.resolve(shown).await? {
            Resolution::Abstain => Got::Abstain,
            Resolution::Role(role) => Got::Role(Box::new(role)),
            Resolution::Deny(denied) => Got::Deny(denied),
        },
        Question::Authorize(role) => verdict(instance.authorize(shown, role).await?),
        Question::AuthorizePath(path) => verdict(instance.authorize_path(shown, path).await?),
    })
}

/// Keys of the case's pod that the plugin's `interest` does not name: often a forgotten one.
fn unseen(workload: &Workload, interest: &Interest) -> Vec<String> {
    let images = workload.images.keys().map(|container| (image_attribute(container), String::new())).collect();
    let said: [&Pairs; 6] = [
        &workload.labels,
        &workload.annotations,
        &workload.namespace_labels,
        &workload.namespace_annotations,
        &workload.service_account_annotations,
        &images,
    ];
    let unseen = interest.lists().into_iter().zip(said).flat_map(|((list, keys), pairs)| {
        pairs.keys().filter(|key| !keys.show(key)).map(move |key| {
            let key = printable(key);
            format!("the plugin is not shown `{key}` of the workload's {list}: its interest does not name it")
        })
    });
    unseen.collect()
}

impl Trial {
    fn of(case: &Case) -> Self {
        let name = printable(&case.name);
        Self { name, passed: true, phases: Vec::new(), memory_bytes: None, notes: Vec::new(), log: Vec::new() }
    }

    fn record(&mut self, phase: Phase, took: Duration, expected: &Expected, got: &Got) {
        let differences = differences(expected, got);
        self.passed &= differences.is_empty();
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.phases.push(PhaseResult { phase, microseconds, answer: got.text(), differences });
    }
}
