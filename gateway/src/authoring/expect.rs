//! What a case expects, and roles as cases write them.

use figment::value::{Dict, Value};

use super::{cases::Parser, question::Phase, raw};
use crate::{
    config::{Key, any_of, nearest, quote},
    plugin::{PluginErrorKind, RoleAnswer},
    role::CredentialSource,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It accepts its configuration.
    Ready,
    /// It refuses its configuration, with this in its message.
    Error(String),
    Abstain,
    Allow,
    Deny {
        code: String,
        reason: Option<String>,
    },
    /// Compared as a whole: a field that is not written must be absent.
    Role(Box<RoleAnswer>),
    Fails(PluginErrorKind),
}

/// The answers that a phase can expect, and the keys that tell its tables apart.
struct Forms {
    shown: &'static str,
    words: &'static [(&'static str, Expected)],
    keys: &'static [&'static str],
}

const INIT: Forms = Forms {
    shown: "\"accepted\", { error = … } or { fails = … }",
    words: &[("accepted", Expected::Ready)],
    keys: &["error", "fails"],
};
const RESOLVE: Forms = Forms {
    shown: "\"abstain\", { role = … }, { deny = … } or { fails = … }",
    words: &[("abstain", Expected::Abstain)],
    keys: &["role", "deny", "fails"],
};
const AUTHORIZE: Forms = Forms {
    shown: "\"abstain\", \"allow\", { deny = … } or { fails = … }",
    words: &[("abstain", Expected::Abstain), ("allow", Expected::Allow)],
    keys: &["deny", "fails"],
};

impl Parser<'_, '_> {
    pub(super) fn expected(&mut self, key: &Key, phase: Phase, written: Value) -> Option<Expected> {
        let forms = match phase {
            Phase::Init => INIT,
            Phase::Resolve => RESOLVE,
            Phase::Authorize | Phase::AuthorizePath => AUTHORIZE,
        };
        match written {
            Value::String(_, word) => self.word(key, &forms, &word),
            Value::Dict(_, table) => self.table(key, &forms, table),
            _ => {
                self.collector.refuse(key, format!("expected {}", forms.shown), "");
                None
            }
        }
    }

    fn word(&mut self, key: &Key, forms: &Forms, word: &str) -> Option<Expected> {
        if let Some((_, expected)) = forms.words.iter().find(|(known, _)| *known == word) {
            return Some(expected.clone());
        }
        let near = nearest(word, forms.words.iter().map(|(known, _)| *known));
        let help = near.map(|near| format!("did you mean \"{near}\"?")).unwrap_or_default();
        self.collector.refuse(key, format!("expected {}, found {}", forms.shown, quote(word)), help);
        None
    }

    fn table(&mut self, key: &Key, forms: &Forms, mut table: Dict) -> Option<Expected> {
        let told: Vec<&str> = forms.keys.iter().copied().filter(|name| table.contains_key(*name)).collect();
        match told[..] {
            ["role"] => {
                let name = table.remove("role")?;
                self.role_table(key, "role", &name, table).map(|role| Expected::Role(Box::new(role)))
            }
            ["deny"] => {
                let raw::Deny { deny: code, reason } = self.collector.extract_at(key, table.into())?;
                Some(Expected::Deny { code, reason })
            }
            ["fails"] => {
                let raw::Fails { fails } = self.collector.extract_at(key, table.into())?;
                self.fault_kind(&key.name("fails"), &fails).map(Expected::Fails)
            }
            ["error"] => {
                let raw::Error { error } = self.collector.extract_at(key, table.into())?;
                if error.trim().is_empty() {
                    self.collector.refuse(
                        &key.name("error"),
                        "every message contains the empty string",
                        "write a part of the expected message",
                    );
                    return None;
                }
                Some(Expected::Error(error))
            }
            [] => {
                let near = table.keys().find_map(|name| Some((name, nearest(name, forms.keys.iter().copied())?)));
                let help = near.map(|(name, near)| format!("did you mean {near} instead of {name}?"));
                self.collector.refuse(key, format!("expected {}", forms.shown), help.unwrap_or_default());
                None
            }
            _ => {
                self.collector.refuse(
                    key,
                    format!("has {}", told.join(" and ")),
                    "keep one of them: a plugin gives one answer",
                );
                None
            }
        }
    }

    fn fault_kind(&mut self, key: &Key, written: &str) -> Option<PluginErrorKind> {
        // No case can cause a shortage of instances in the gateway.
        let known = || PluginErrorKind::ALL.into_iter().filter(|kind| *kind != PluginErrorKind::Exhausted);
        let kind = known().find(|kind| kind.label() == written);
        if kind.is_none() {
            let near = nearest(written, known().map(PluginErrorKind::label));
            let help = near.map(|near| format!("did you mean \"{near}\"?")).unwrap_or_default();
            let problem = format!("expected {}, found {}", any_of(known().map(PluginErrorKind::label)), quote(written));
            self.collector.refuse(key, problem, help);
        }
        kind
    }

    /// A name, or a table with an `arn`.
    pub(super) fn role(&mut self, key: &Key, written: Value) -> Option<RoleAnswer> {
        match written {
            Value::Dict(_, mut table) => match table.remove("arn") {
                Some(arn) => self.role_table(key, "arn", &arn, table),
                None => {
                    self.collector.refuse(key, "a role needs its name or ARN", "add arn = \"path/name\"");
                    None
                }
            },
            name => self.role_name(key, &name).map(RoleAnswer::named),
        }
    }

    fn role_table(&mut self, key: &Key, name_key: &str, name: &Value, table: Dict) -> Option<RoleAnswer> {
        let written = self.role_name(&key.name(name_key), name);
        let raw: raw::Session = self.collector.extract_at(key, table.into())?;
        let source = match raw.source {
            Some(source) => self.source(&key.name("source"), source)?,
            None => CredentialSource::AssumeRole,
        };
        let session_policy = match raw.session_policy {
            None => None,
            Some(Value::String(_, text)) => Some(text),
            Some(Value::Dict(_, table)) => serde_json::to_string(&table).ok(),
            Some(_) => {
                self.collector.refuse(&key.name("session_policy"), "expected a string of JSON or a table", "");
                return None;
            }
        };
        Some(RoleAnswer {
            source,
            session_name: raw.session_name,
            external_id: raw.external_id,
            duration_seconds: raw.duration_seconds,
            tags: raw.tags,
            session_policy,
            policy_arns: raw.policy_arns,
            ..RoleAnswer::named(written?)
        })
    }

    fn role_name(&mut self, key: &Key, written: &Value) -> Option<String> {
        let name = written.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        if name.is_none() {
            self.collector.refuse(key, "expected a role's name, path/name or ARN", "");
        }
        name
    }

    fn source(&mut self, key: &Key, written: Value) -> Option<CredentialSource> {
        match written {
            Value::String(_, word) if word == "assume-role" => Some(CredentialSource::AssumeRole),
            Value::Dict(_, table) => {
                let raw::WebIdentity { web_identity: audience, regional } =
                    self.collector.extract_at(key, table.into())?;
                Some(CredentialSource::WebIdentity { audience, regional: regional.unwrap_or(true) })
            }
            _ => {
                let help = "web_identity is the token's audience, such as \"sts.amazonaws.com\"";
                self.collector.refuse(key, "expected \"assume-role\" or { web_identity = … }", help);
                None
            }
        }
    }
}
