//! What a plugin answered beside what was expected of it.

use serde::Serialize;
use serde_json::Value;

use super::{cases::BASE, expect::Expected};
use crate::{
    plugin::{Denied, Fault, FaultKind, RoleAnswer, printable},
    role::{BaseArn, CredentialSource},
};

/// What a plugin answered.
#[derive(Clone, Debug)]
pub(super) enum Got {
    /// It took its configuration.
    Ready,
    Abstain,
    Allow,
    Deny(Denied),
    Role(Box<RoleAnswer>),
    Fails(Fault),
    /// Nothing that the gateway would act on.
    Unusable(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Of a denial or a role; None where the answers are of different kinds.
    pub field: Option<&'static str>,
    pub expected: String,
    pub got: String,
}

/// Empty where it is as expected.
pub(super) fn differences(expected: &Expected, got: &Got) -> Vec<Difference> {
    match (expected, got) {
        (Expected::Ready, Got::Ready) | (Expected::Abstain, Got::Abstain) | (Expected::Allow, Got::Allow) => Vec::new(),
        (Expected::Fails(kind), Got::Fails(fault)) if *kind == fault.kind => Vec::new(),
        (Expected::Error(part), Got::Fails(fault)) if fault.kind == FaultKind::Error && fault.detail.contains(part) => {
            Vec::new()
        }
        (Expected::Error(part), Got::Unusable(message)) if message.contains(part) => Vec::new(),
        (Expected::Deny { code, reason }, Got::Deny(denied)) => {
            let reason = reason.as_ref().unwrap_or(&denied.reason);
            let fields = [("deny", code, &denied.code), ("reason", reason, &denied.reason)];
            fields.into_iter().filter_map(|(name, expected, got)| field(name, expected.clone(), got.clone())).collect()
        }
        (Expected::Role(expected), Got::Role(got)) => role_differences(expected, got),
        _ => vec![Difference { field: None, expected: expected.text(), got: got.text() }],
    }
}

fn field(name: &'static str, expected: String, got: String) -> Option<Difference> {
    (expected != got).then(|| Difference { field: Some(name), expected: printable(&expected), got: printable(&got) })
}

/// A name and its ARN are one role.
fn role_differences(expected: &RoleAnswer, got: &RoleAnswer) -> Vec<Difference> {
    let option = |value: &Option<String>| value.clone().unwrap_or_else(absent);
    let seconds = |value: Option<u32>| value.map_or_else(absent, |value| value.to_string());
    let role = (!same_role(&expected.written, &got.written))
        .then(|| field("role", expected.written.clone(), got.written.clone()))
        .flatten();
    let policy = (!same_json(expected.session_policy.as_deref(), got.session_policy.as_deref()))
        .then(|| field("session_policy", option(&expected.session_policy), option(&got.session_policy)))
        .flatten();
    let fields = [
        role,
        field("source", source(&expected.source), source(&got.source)),
        field("session_name", option(&expected.session_name), option(&got.session_name)),
        field("external_id", option(&expected.external_id), option(&got.external_id)),
        field("duration_seconds", seconds(expected.duration_seconds), seconds(got.duration_seconds)),
        field("tags", pairs(expected), pairs(got)),
        policy,
        field("policy_arns", list(&expected.policy_arns), list(&got.policy_arns)),
    ];
    fields.into_iter().flatten().collect()
}

fn absent() -> String {
    "(absent)".to_owned()
}

fn pairs(role: &RoleAnswer) -> String {
    let pairs: Vec<String> = role.tags.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
    if pairs.is_empty() { absent() } else { pairs.join(", ") }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { absent() } else { items.join(", ") }
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

/// Spaces and the order of keys are no difference.
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
