//! A cases file: what a plugin is to answer, case by case.

use std::{collections::BTreeSet, path::Path};

use figment::value::{Dict, Value};

use super::{
    question::{Expectation, Phase, Question},
    raw,
};
use crate::{
    config::{
        self, Collector, Diagnostic, Diagnostics, Key, Layers, NO_JSON, NO_JSON_HELP, Origin, PLUGIN_MEMORY,
        PLUGIN_TIMEOUT, Sources, duration, quote, size,
    },
    policy::Defaults,
    roster::fixed::PodTable,
    workload::Workload,
};

/// Completes short role names.
pub(super) const BASE: &str = "arn:aws:iam::123456789012:role/";

/// Never empty.
#[derive(Debug)]
pub struct Cases {
    /// As the gateway would have it from its configuration, except name and code.
    pub(super) settings: config::Plugin,
    pub(super) defaults: Defaults,
    pub cases: Vec<Case>,
}

#[derive(Debug)]
pub struct Case {
    /// A claim about the plugin.
    pub name: String,
    pub config: serde_json::Value,
    /// RFC 3339; only where the plugin has the clock.
    pub now: Option<String>,
    pub workload: Workload,
    /// In the order in which the gateway asks.
    pub expectations: Vec<Expectation>,
}

impl Cases {
    /// `file` names the text in diagnostics.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Diagnostics> {
        let layers = Layers::of_file(file, text)?;
        let (production, defaults) = production()?;
        let mut collector = Collector::new(&layers);
        let read = collector.extract::<raw::Raw>().map(|raw| {
            let mut parser = Parser { collector: &mut collector, defaults: &defaults };
            parser.cases(raw, production)
        });
        if read.as_ref().is_some_and(|(_, cases)| cases.is_empty()) && collector.is_empty() {
            let help = "add a [[case]] table: name, workload, and what to expect";
            collector.refuse_from(Origin::whole_file(file), &Key::default(), "has no case", help);
        }
        let (settings, cases) = collector.finish(read)?;
        Ok(Self { settings, defaults, cases })
    }
}

/// The gateway's default configuration.
pub(super) fn production() -> Result<(config::Plugin, Defaults), Diagnostics> {
    let config = config::load(&Sources::default())?.config;
    let plugin = config.plugins.into_iter().next().ok_or_else(|| internal("there is no plugin by default"))?;
    let defaults = Defaults {
        mode: config.policy.mode,
        base: BASE.parse().ok(),
        role: None,
        session_name: config.credentials.session_name,
        session_duration: config.credentials.session_duration,
        session_tags: config.credentials.session_tags,
    };
    Ok((config::Plugin { clock: false, ..plugin }, defaults))
}

fn internal(problem: &str) -> Diagnostics {
    Diagnostic { origin: Origin::Default, key: String::new(), problem: problem.into(), help: None, excerpt: None }
        .into()
}

pub(super) struct Parser<'a, 'b> {
    pub(super) collector: &'a mut Collector<'b>,
    pub(super) defaults: &'a Defaults,
}

impl Parser<'_, '_> {
    fn cases(&mut self, raw: raw::Raw, production: config::Plugin) -> (config::Plugin, Vec<Case>) {
        let settings = self.settings(raw.plugin, production);
        let mut seen = BTreeSet::new();
        let mut cases = Vec::new();
        for (index, case) in raw.case.into_iter().enumerate() {
            let key = Key::dotted("case").index(index);
            if case.name.is_empty() {
                let help = "add name = \"…\": a claim, such as \"an admin role is for trusted pods\"";
                self.collector.refuse(&key.name("name"), "a case needs a name", help);
            } else if !seen.insert(case.name.clone()) {
                let problem = format!("{} is the name of another case too", quote(&case.name));
                self.collector.refuse(&key.name("name"), problem, "give each case its own name");
            }
            cases.extend(self.case(&key, case, &settings));
        }
        (settings, cases)
    }

    fn settings(&mut self, raw: raw::Plugin, production: config::Plugin) -> config::Plugin {
        let key = Key::dotted("plugin");
        let timeout = raw.timeout.map(|written| duration(&written, &PLUGIN_TIMEOUT));
        let timeout = timeout.and_then(|read| self.collector.read(&key.name("timeout"), read));
        let memory = raw.memory.map(|written| size(&written, &PLUGIN_MEMORY));
        let memory = memory.and_then(|read| self.collector.read(&key.name("memory"), read));
        let memory = memory.and_then(|bytes| usize::try_from(bytes).ok());
        config::Plugin {
            timeout: timeout.unwrap_or(production.timeout),
            memory: memory.unwrap_or(production.memory),
            clock: raw.clock,
            config: self.config(&key.name("config"), &raw.config),
            ..production
        }
    }

    fn case(&mut self, key: &Key, raw: raw::Case, settings: &config::Plugin) -> Option<Case> {
        let config = match &raw.config {
            Some(own) => self.config(&key.name("config"), own),
            None => settings.config.clone(),
        };
        let expect = key.name("expect");
        let raw::Expect { init, resolve, authorize, authorize_path } = raw.expect;
        let decides = resolve.is_some() || authorize.is_some() || authorize_path.is_some();
        if init.is_some() && decides {
            let problem = "a plugin that refuses its configuration is asked nothing else";
            self.collector.refuse(&expect.name("init"), problem, "split it into two cases");
        }
        if init.is_none() && !decides {
            let help = "add [case.expect] with resolve, authorize, authorize_path or init";
            self.collector.refuse(key, "expects nothing", help);
        }
        for (name, told, asked) in
            [("role", raw.role.is_some(), authorize.is_some()), ("path", raw.path.is_some(), authorize_path.is_some())]
        {
            if told && !asked {
                let problem = "is given, but nothing is expected of it";
                let help = format!(
                    "add {} to the case's expect, or remove this key",
                    if name == "role" { "authorize" } else { "authorize_path" }
                );
                self.collector.refuse(&key.name(name), problem, help);
            }
        }
        // After an error the rest is checked all the same.
        let workload = decides.then(|| self.workload(key, raw.workload)).flatten().unwrap_or_default();
        let now = self.now(&key.name("now"), &raw.now, settings.clock, decides);
        let mut expectations = Vec::new();
        if let Some(written) = init {
            expectations.extend(self.expectation(&expect, Phase::Init, written, |_| Some(Question::Init)));
        }
        if let Some(written) = resolve {
            expectations.extend(self.expectation(&expect, Phase::Resolve, written, |_| Some(Question::Resolve)));
        }
        if let Some(written) = authorize {
            let role = |parser: &mut Self| parser.asked_role(key, raw.role, &workload);
            expectations.extend(self.expectation(&expect, Phase::Authorize, written, role));
        }
        if let Some(written) = authorize_path {
            let path = |parser: &mut Self| parser.asked_path(key, raw.path);
            expectations.extend(self.expectation(&expect, Phase::AuthorizePath, written, path));
        }
        Some(Case { name: raw.name, config, now, workload, expectations })
    }

    fn expectation(
        &mut self,
        expect: &Key,
        phase: Phase,
        written: Value,
        question: impl FnOnce(&mut Self) -> Option<Question>,
    ) -> Option<Expectation> {
        let question = question(self);
        let expected = self.expected(&expect.name(phase.key()), phase, written);
        Some(Expectation { question: question?, expected: expected? })
    }

    fn config(&mut self, key: &Key, written: &Dict) -> serde_json::Value {
        match config::json_of(key, written) {
            Ok(config) => config,
            Err(odd) => {
                odd.iter().for_each(|key| self.collector.refuse(key, NO_JSON, NO_JSON_HELP));
                serde_json::Value::Null
            }
        }
    }

    fn workload(&mut self, key: &Key, raw: Option<raw::Workload>) -> Option<Workload> {
        let key = key.name("workload");
        let Some(raw) = raw else {
            let help = "add workload = { namespace = \"payments\", pod = \"checkout-0\" }";
            self.collector.refuse(&key, "is required: a plugin decides about a pod", help);
            return None;
        };
        let pod = PodTable {
            namespace: raw.namespace,
            pod: raw.pod,
            uid: raw.uid,
            ips: raw.ips,
            service_account: raw.service_account,
            labels: raw.labels,
            annotations: raw.annotations,
            images: raw.images,
        };
        Some(Workload {
            node: raw.node,
            namespace_labels: raw.namespace_labels,
            namespace_annotations: raw.namespace_annotations,
            service_account_annotations: raw.service_account_annotations,
            ..pod.read(&key, self.collector)
        })
    }

    /// In whole seconds, as plugins get the time.
    fn now(&mut self, key: &Key, written: &str, clock: bool, decides: bool) -> Option<String> {
        if self.collector.has(key) {
            return None;
        }
        match (written, clock) {
            ("", true) if decides => {
                let help = "add now = \"2026-11-25T09:00:00Z\"";
                self.collector.refuse(key, "is required: the plugin has the clock", help);
                None
            }
            ("", _) => None,
            (_, false) => {
                let help = "add clock = true to [plugin], as an operator does in metagate.toml";
                self.collector.refuse(key, "is not shown to a plugin that has no clock", help);
                None
            }
            (_, true) => {
                let told = humantime::parse_rfc3339(written).map(humantime::format_rfc3339_seconds);
                let told = told.ok().map(|told| told.to_string()).filter(|told| told == written);
                if told.is_none() {
                    let problem = format!("expected a time in UTC and whole seconds, found {}", quote(written));
                    self.collector.refuse(key, problem, "write it as \"2026-11-25T09:00:00Z\"");
                }
                told
            }
        }
    }
}
