//! Counts of the plugins' answers since the start, for metrics and the status page.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Decision, PluginAnswer, Rejection, Step};
use crate::plugin::PluginErrorKind;

/// How many denial codes are counted separately per plugin. A plugin chooses its codes, and could make one from a pod's
/// name. More reasons than this are no use in a metric.
const CODES: usize = 32;
/// The label of all further codes.
const OTHER: &str = "other";
const NONE: &str = "none";

/// By the plugin's name, so that counts continue across reloads; the gateway's own denials count under `policy`. Cache
/// hits do not count.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, Counts>>);

#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Decisions in which the plugin was asked.
    pub decisions: u64,
    /// Decisions that it denied, by code.
    pub denials: BTreeMap<String, u64>,
    /// Answers that audit mode did not act on, by a denial's code or a failure's kind.
    pub audited: BTreeMap<String, u64>,
    /// Failures by kind, acted on or not.
    pub faults: BTreeMap<&'static str, u64>,
    pub last_fault: Option<(SystemTime, PluginErrorKind, String)>,
    /// Calls of the plugin; `took` is their total time.
    pub calls: u64,
    pub took: Duration,
    pub longest: Duration,
    codes: BTreeSet<String>,
}

/// How a decision was counted. The labels are bounded: at most 32 codes and `other` per plugin, and the kinds of
/// failures.
#[derive(Debug)]
pub struct CountedAs<'a> {
    /// The denial's code or the failure's kind; `none` otherwise.
    pub reason: String,
    pub audited: Vec<(&'a Step, String)>,
}

impl Tally {
    pub fn count<'a>(&self, decision: &'a Decision) -> CountedAs<'a> {
        let mut tallies = self.tallies();
        let mut audited = Vec::new();
        for (index, step) in decision.steps.iter().enumerate() {
            let counts = tallies.entry(step.plugin.to_string()).or_default();
            let asked_before = decision.steps.iter().take(index).any(|before| before.plugin == step.plugin);
            counts.decisions += u64::from(!asked_before);
            counts.calls += 1;
            counts.took += step.took;
            counts.longest = counts.longest.max(step.took);
            if let PluginAnswer::Failed(fault) = &step.answer {
                *counts.faults.entry(fault.kind.label()).or_default() += 1;
                counts.last_fault = Some((decision.decided_at, fault.kind, step.answer.text()));
            }
            if step.audited {
                let code = match &step.answer {
                    PluginAnswer::Deny(denied) => counts.counted_by(&denied.code),
                    answer => answer.label().to_owned(),
                };
                *counts.audited.entry(code.clone()).or_default() += 1;
                audited.push((step, code));
            }
        }
        let reason = match decision.outcome.rejection() {
            Some(Rejection::Denied(denial)) => {
                let counts = tallies.entry(denial.by.clone()).or_default();
                let code = counts.counted_by(&denial.code);
                *counts.denials.entry(code.clone()).or_default() += 1;
                code
            }
            Some(Rejection::Failed(fault)) => fault.kind.label().to_owned(),
            _ => NONE.to_owned(),
        };
        CountedAs { reason, audited }
    }

    pub fn of(&self, plugin: &str) -> Counts {
        self.tallies().get(plugin).cloned().unwrap_or_default()
    }

    fn tallies(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn counted_by(&mut self, code: &str) -> String {
        if self.codes.contains(code) || self.codes.len() < CODES && self.codes.insert(code.to_owned()) {
            code.to_owned()
        } else {
            OTHER.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        plugin::{Denied, PluginError},
        policy::{Outcome, Phase},
    };

    fn step(plugin: &str, phase: Phase, answer: PluginAnswer, audited: bool) -> Step {
        Step { plugin: plugin.into(), phase, answer, audited, took: Duration::ZERO }
    }

    fn deny(code: &str) -> PluginAnswer {
        PluginAnswer::Deny(Denied { code: code.into(), reason: "for a reason".into() }.into())
    }

    fn fault(kind: PluginErrorKind) -> PluginAnswer {
        PluginAnswer::Failed(PluginError { plugin: "own".into(), kind, detail: "unreachable".into() }.into())
    }

    fn decision(steps: Vec<Step>, outcome: Outcome) -> Decision {
        let decided_at = SystemTime::UNIX_EPOCH;
        Decision { workload: "payments/checkout-0".into(), outcome, steps, role: None, decided_at, stands_for: None }
    }

    #[test]
    fn a_thousand_codes_are_counted_by_thirty_three() {
        let tally = Tally::default();
        for number in 0..1000 {
            let code = format!("pod-{number}");
            let counted = decision(vec![step("own", Phase::Authorize, deny(&code), true)], Outcome::Admitted);
            let by = tally.count(&counted).audited;
            assert_eq!(by[0].1, if number < CODES { code.as_str() } else { OTHER });
        }
        for number in 0..1000 {
            let denied = Outcome::Rejected(Rejection::denied("own", &format!("denied-{number}"), "for a reason"));
            tally.count(&decision(Vec::new(), denied));
        }
        let own = tally.of("own");
        let counted_by: BTreeSet<_> = own.audited.keys().chain(own.denials.keys()).collect();
        assert_eq!(counted_by.len(), CODES + 1);
        assert_eq!(own.denials.keys().collect::<Vec<_>>(), [OTHER], "one limit for denials and audited answers");
        assert_eq!((own.audited.values().sum::<u64>(), own.denials.values().sum::<u64>()), (1000, 1000));
        // Another plugin has codes of its own.
        let other = decision(vec![step("second", Phase::Authorize, deny("late"), true)], Outcome::Admitted);
        assert_eq!(tally.count(&other).audited[0].1, "late");
    }

    #[test]
    fn a_plugin_that_is_asked_twice_for_one_decision_is_asked_for_one() {
        let tally = Tally::default();
        let asked = [Phase::Resolve, Phase::Authorize].map(|phase| step("own", phase, PluginAnswer::Abstain, false));
        tally.count(&decision(asked.into(), Outcome::Admitted));
        assert_eq!(tally.of("own").decisions, 1);
    }

    #[test]
    fn what_ended_a_decision_and_what_audit_mode_passed_over_are_told_apart() {
        let tally = Tally::default();
        let steps = vec![
            step("own", Phase::Resolve, deny("audited"), true),
            step("own", Phase::Authorize, fault(PluginErrorKind::Timeout), true),
            step("last", Phase::Authorize, deny("final"), false),
        ];
        tally.count(&decision(steps, Outcome::Rejected(Rejection::denied("last", "final", "for a reason"))));
        let failed = PluginError { plugin: "own".into(), kind: PluginErrorKind::Trap, detail: "unreachable".into() };
        let outcome = Outcome::Rejected(Rejection::Failed(Arc::new(failed)));
        tally.count(&decision(vec![step("own", Phase::Resolve, fault(PluginErrorKind::Trap), false)], outcome));

        let (own, last) = (tally.of("own"), tally.of("last"));
        let counts = |of: &BTreeMap<String, u64>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!((counts(&own.audited), counts(&own.denials)), (vec!["audited".into(), "timed-out".into()], vec![]));
        assert_eq!((counts(&last.audited), counts(&last.denials)), (vec![], vec!["final".into()]));
        assert_eq!(own.faults.into_iter().collect::<Vec<_>>(), [("timed-out", 1), ("trapped", 1)]);
        assert_eq!(own.last_fault.unwrap().2, "trapped: unreachable");
    }
}
