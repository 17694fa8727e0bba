//! A hostile guest for the gateway's tests: its configuration names a deed and a phase. In every other phase it
//! abstains.

mod attack;
mod config;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};

use metagate_plugin_sdk::{Denial, Interest, Policy, Resolution, Role, Verdict, Workload, export_policy, parse_config};

pub use config::{Config, Deed, InterestTable, Phase, RoleTable};

const HUGE_BYTES: usize = 1 << 20;
const FLOOD_LINES: usize = 100_000;
const MANY_PAIRS: usize = 10_000;

#[derive(Debug)]
pub struct Hostile {
    config: Config,
    /// Exceeds one decision only if an instance outlives its decision.
    decisions: AtomicU32,
}

/// The answer after an attack that returned.
enum Answer {
    Abstain,
    Allow,
    Role(Box<Role>),
    Deny(Denial),
}

impl Policy for Hostile {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        config.attack(Phase::Init)?;
        Ok(Self { config, decisions: AtomicU32::new(0) })
    }

    fn interest(&self) -> Interest {
        let asked = self.config.interest.clone();
        let interest = Interest {
            labels: asked.labels,
            annotations: asked.annotations,
            namespace_labels: asked.namespace_labels,
            namespace_annotations: asked.namespace_annotations,
            service_account_annotations: asked.service_account_annotations,
            attributes: asked.attributes,
        };
        let interest = interest.annotations(&self.config.script);
        match (self.config.on, self.config.deed) {
            (Phase::Init, Deed::HugeAnswer) => interest.labels(["k".repeat(self.config.size(HUGE_BYTES))]),
            (Phase::Init, Deed::ManyPairs) => interest.labels(keys(self.config.size(MANY_PAIRS))),
            (Phase::Init, Deed::BadUtf8) => interest.labels([attack::bad_utf8()]),
            _ => interest,
        }
    }

    fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        Ok(match self.answer(Phase::Resolve, workload, None)? {
            Answer::Abstain | Answer::Allow => Resolution::Abstain,
            Answer::Role(role) => Resolution::Role(*role),
            Answer::Deny(denial) => Resolution::Deny(denial),
        })
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        self.verdict(Phase::Authorize, workload, Some(role))
    }

    fn authorize_path(&self, workload: &Workload, _: &str) -> Result<Verdict, String> {
        self.verdict(Phase::AuthorizePath, workload, None)
    }
}

impl Hostile {
    fn verdict(&self, phase: Phase, workload: &Workload, role: Option<&Role>) -> Result<Verdict, String> {
        Ok(match self.answer(phase, workload, role)? {
            Answer::Abstain | Answer::Role(_) => Verdict::Abstain,
            Answer::Allow => Verdict::Allow,
            Answer::Deny(denial) => Verdict::Deny(denial),
        })
    }

    fn answer(&self, phase: Phase, workload: &Workload, role: Option<&Role>) -> Result<Answer, String> {
        let before = self.decisions.fetch_add(1, Ordering::Relaxed);
        let config = self.config_for(workload)?;
        if phase != config.on {
            return Ok(Answer::Abstain);
        }
        config.attack(phase)?;
        let huge = || "h".repeat(config.size(HUGE_BYTES));
        Ok(match config.deed {
            Deed::Allow => Answer::Allow,
            Deed::Deny => Answer::Deny(Denial::new(&config.code, &config.reason)),
            Deed::Role => Answer::Role(Box::new(config.role.role())),
            Deed::Echo => Answer::Deny(Denial::new("echo", shown(workload, role, before))),
            Deed::HugeAnswer if phase == Phase::Resolve => Answer::Role(Box::new(Role::named(huge()))),
            Deed::HugeAnswer => Answer::Deny(Denial::new(huge(), huge())),
            Deed::HugeDeny => Answer::Deny(Denial::new("huge", huge())),
            Deed::ManyPairs => {
                let mut role = config.role.role();
                role.tags = keys(config.size(MANY_PAIRS)).map(|key| (key, String::new())).collect();
                Answer::Role(Box::new(role))
            }
            Deed::BadUtf8 => Answer::Deny(Denial::new("bad-utf8", attack::bad_utf8())),
            _ => Answer::Abstain,
        })
    }

    fn config_for(&self, workload: &Workload) -> Result<Cow<'_, Config>, String> {
        match self.config.script.as_deref().and_then(|key| workload.annotation(key)) {
            Some(script) => parse_config(script).map(Cow::Owned),
            None => Ok(Cow::Borrowed(&self.config)),
        }
    }
}

impl Config {
    /// Returns only if the deed is an answer, or if its resource did not run out.
    fn attack(&self, phase: Phase) -> Result<(), String> {
        if phase != self.on {
            return Ok(());
        }
        match self.deed {
            Deed::Err => Err("hostile: asked to fail".to_owned()),
            Deed::HugeErr => Err("e".repeat(self.size(HUGE_BYTES))),
            Deed::Panic => attack::panic(),
            Deed::Trap => std::process::abort(),
            Deed::Loop => attack::spin(),
            Deed::Grow => {
                attack::grow(self.size(usize::MAX));
                Ok(())
            }
            Deed::Recurse => Err(format!("came back from {} calls", attack::recurse(0))),
            Deed::LogFlood => {
                attack::flood(self.size(FLOOD_LINES));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn size(&self, default: usize) -> usize {
        self.size.unwrap_or(default)
    }
}

/// Sorted and unique, like the keys of the interface's pairs.
fn keys(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|index| format!("k{index:09}"))
}

/// Such as `labels[app,tier] annotations[] … decisions-before=0`.
fn shown(workload: &Workload, role: Option<&Role>, before: u32) -> String {
    let lists = [
        ("labels", &workload.labels),
        ("annotations", &workload.annotations),
        ("namespace-labels", &workload.namespace_labels),
        ("namespace-annotations", &workload.namespace_annotations),
        ("service-account-annotations", &workload.service_account_annotations),
        ("attributes", &workload.attributes),
    ];
    let role = role.map(|role| ("role-attributes", &role.attributes));
    let mut text = String::new();
    for (list, pairs) in lists.into_iter().chain(role) {
        let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
        text.push_str(&format!("{list}[{}] ", keys.join(",")));
    }
    text + &format!("decisions-before={before}")
}

export_policy!(Hostile);

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile(config: &str) -> Hostile {
        Hostile::new(parse_config(config).unwrap()).unwrap()
    }

    #[test]
    fn it_abstains_outside_its_phase() {
        let policy = hostile(r#"{"on":"authorize","do":"allow"}"#);
        let workload = Workload::of("default", "web-0");
        assert_eq!(policy.resolve(&workload), Ok(Resolution::Abstain));
        assert_eq!(policy.authorize(&workload, &Role::named("web")), Ok(Verdict::Allow));
    }

    #[test]
    fn echo_lists_every_key_that_it_was_shown() {
        let workload = Workload::of("default", "web-0").with_label("tier", "x").with_label("app", "y");
        let Ok(Resolution::Deny(denial)) = hostile(r#"{"do":"echo"}"#).resolve(&workload) else { panic!("no denial") };
        assert!(denial.reason.starts_with("labels[app,tier] annotations[] "), "{}", denial.reason);
        assert!(denial.reason.ends_with("attributes[] decisions-before=0"), "{}", denial.reason);
    }

    #[test]
    fn a_pods_own_script_goes_before_the_configuration() {
        let policy = hostile(r#"{"do":"err","script":"deed"}"#);
        let scripted = Workload::of("default", "web-0").with_annotation("deed", r#"{"do":"abstain"}"#);
        assert_eq!(policy.resolve(&scripted), Ok(Resolution::Abstain));
        assert!(policy.resolve(&Workload::of("default", "web-1")).is_err());
        assert_eq!(policy.interest().annotations, ["deed"]);
    }

    #[test]
    fn a_failure_in_init_is_the_policys() {
        let config = parse_config(r#"{"on":"init","do":"err"}"#).unwrap();
        assert!(Hostile::new(config).is_err());
    }
}
