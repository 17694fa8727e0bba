//! Compares a plugin's answer with the expected one.

use serde::Serialize;
use serde_json::Value;

use super::{cases::BASE, expect::Expected};
use crate::{
    pairs::Pairs,
    plugin::{Denied, PluginError, PluginErrorKind, RoleAnswer, printable},
    role::{BaseArn, CredentialSource},
};

/// What a plugin answered.
#[derive(Clone, Debug)]
pub(super) enum Got {
    /// It accepted its configuration.
    Ready,
    Abstain,
    Allow,
    Deny(Denied),
    Role(Box<RoleAnswer>),
    Fails(PluginError),
    /// The gateway would not act on this answer.
    Unusable(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field of a denial or role; None if the answers are of different kinds.
    pub field: Option<&'static str>,
    pub expected: String,
    pub got: String,
}

/// Empty if the answer is as expected.
pub(super) fn differences(expected: &Expected, got: &Got) -> Vec<Difference> {
    match (expected, got) {
        (Expected::Ready, Got::Ready) | (Expected::Abstain, Got::Abstain) | (Expected::Allow, Got::Allow) => Vec::new(),
        (Expected::Fails(kind), Got::Fails(fault)) if *kind == fault.kind => Vec::new(),
        (Expected::Error(part), Got::Fails(fault))
            if fault.kind == PluginErrorKind::Error && fault.detail.contains(part) =>
        {
            Vec::new()
        }
        (Expected::Error(part), Got::Unusable(message)) if message.contains(part) => Vec::new(),
        (Expected::Deny { code, reason }, Got::Deny(denied)) => {
            let reason = reason.as_ref().unwrap_or(&denied.reason);
            let fields = [
                field("deny", code, &denied.code, String::clone),
                field("reason", reason, &denied.reason, String::clone),
            ];
            fields.into_iter().flatten().collect()
        }
        (Expected::Role(expected), Got::Role(got)) => role_differences(expected, got),
        _ => vec![Difference { field: None, expected: expected.text(), got: got.text() }],
    }
}

/// Compared by value, as different values may have the same text.
fn field<T: PartialEq>(name: &'static str, expected: &T, got: &T, text: impl Fn(&T) -> String) -> Option<Difference> {
    (expected != got).then(|| shown(name, text(expected), text(got)))
}

fn shown(field: &'static str, expected: String, got: String) -> Difference {
    Difference { field: Some(field), expected: printable(&expected), got: printable(&got) }
}

/// A name and its ARN are the same role.
fn role_differences(expected: &RoleAnswer, got: &RoleAnswer) -> Vec<Difference> {
    let option = |value: &Option<String>| value.clone().unwrap_or_else(absent);
    let seconds = |value: &Option<u32>| value.map_or_else(absent, |value| value.to_string());
    let role = (!same_role(&expected.written, &got.written))
        .then(|| shown("role", expected.written.clone(), got.written.clone()));
    let policy = (!same_json(expected.session_policy.as_deref(), got.session_policy.as_deref()))
        .then(|| shown("session_policy", option(&expected.session_policy), option(&got.session_policy)));
    let fields = [
        role,
        field("source", &expected.source, &got.source, source),
        field("session_name", &expected.session_name, &got.session_name, option),
        field("external_id", &expected.external_id, &got.external_id, option),
        field("duration_seconds", &expected.duration_seconds, &got.duration_seconds, seconds),
        field("tags", &expected.tags, &got.tags, pairs),
        policy,
        field("policy_arns", &expected.policy_arns, &got.policy_arns, |arns| list(arns)),
    ];
    fields.into_iter().flatten().collect()
}

fn absent() -> String {
    "(absent)".to_owned()
}

fn pairs(pairs: &Pairs) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
    if pairs.is_empty() { absent() } else { pairs.join(", ") }
}

fn list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    if items.is_empty() { absent() } else { quoted.join(", ") }
}

fn source(source: &CredentialSource) -> String {
    match source {
        CredentialSource::AssumeRole => "assume-role".to_owned(),
        CredentialSource::WebIdentity { audience, regional: true } => format!("web_identity = {audience:?}"),
        CredentialSource::WebIdentity { audience, regional: false } => {
            format!("web_identity = {audience:?}, regional = false")
        }
    }
}

fn same_role(one: &str, other: &str) -> bool {
    let arn = |written: &str| BASE.parse::<BaseArn>().and_then(|base| base.expand(written)).ok();
    one == other || arn(one).is_some_and(|one| arn(other) == Some(one))
}

/// Spaces and the order of keys do not count.
fn same_json(one: Option<&str>, other: Option<&str>) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (one, other) {
        (Some(one), Some(other)) => one == other || read(one).is_some_and(|one| read(other) == Some(one)),
        (one, other) => one == other,
    }
}

impl Got {
    /// For a person.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Ready => "takes its configuration".into(),
            Self::Abstain => "abstain".into(),
            Self::Allow => "allow".into(),
            Self::Deny(denied) => format!("deny {}: {}", denied.code, denied.reason),
            Self::Role(role) => format!("role {}", printable(&role.written)),
            Self::Fails(fault) => format!("{}: {}", fault.kind.label(), fault.detail),
            Self::Unusable(message) => printable(message),
        }
    }
}

impl Expected {
    /// For a person.
    fn text(&self) -> String {
        match self {
            Self::Ready => "takes its configuration".into(),
            Self::Error(part) => format!("refuses its configuration: … {part} …"),
            Self::Abstain => "abstain".into(),
            Self::Allow => "allow".into(),
            Self::Deny { code, reason: None } => format!("deny {code}"),
            Self::Deny { code, reason: Some(reason) } => format!("deny {code}: {reason}"),
            Self::Role(role) => format!("role {}", role.written),
            Self::Fails(kind) => kind.label().into(),
        }
    }
}
