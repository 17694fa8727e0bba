//! What must hold for everything that the host lets through, whatever a guest answered. It is written from the
//! interface and from AWS's reference, not from the code under test.

use metagate::{
    interest::{Interest, Keys},
    plugin::{Denied, LoadError, PluginError, RoleAnswer},
    policy::{Decision, Outcome, PluginAnswer, Rejection},
    refusal::Refusal,
    role::{CredentialSource, Role},
};

/// The longest guest text that anybody is shown.
const PRINTED_MAX: usize = 2048;

pub(crate) fn load_error(error: &LoadError) {
    let message = error.to_string();
    assert!(!message.contains("panicked"), "the compiler panicked: {message}");
    assert!(!message.contains(char::is_control), "not one line: {message:?}");
    if let LoadError::Init(found) = error {
        fault(found);
    }
}

pub(crate) fn interest(interest: &Interest) {
    let all = [
        &interest.labels,
        &interest.annotations,
        &interest.namespace_labels,
        &interest.namespace_annotations,
        &interest.service_account_annotations,
    ];
    for keys in all {
        assert!(Keys::written(keys).count() <= 256 && keys.written().all(|key| key.len() <= 512), "{keys:?}");
    }
}

/// The interface's bounds; AWS's bounds are checked afterwards.
pub(crate) fn answer(answer: &RoleAnswer) {
    assert!(answer.written.len() <= 2048 && answer.tags.len() <= 256 && answer.policy_arns.len() <= 256, "{answer:?}");
}

pub(crate) fn decision(decision: &Decision) {
    for step in &decision.steps {
        match &step.answer {
            PluginAnswer::Role(written) => printed(written, PRINTED_MAX),
            PluginAnswer::Deny(denial) => denied(denial),
            PluginAnswer::Failed(found) => fault(found),
            PluginAnswer::Abstain | PluginAnswer::Allow => (),
        }
    }
    match &decision.outcome {
        Outcome::Granted(grant) => role(grant.role()),
        Outcome::Rejected(Rejection::Denied(denial)) => {
            denied(&Denied { code: denial.code.clone(), reason: denial.reason.clone() });
        }
        Outcome::Rejected(Rejection::Failed(found)) => fault(found),
        Outcome::Admitted | Outcome::Rejected(_) => (),
    }
}

/// The refusal that the pod reads.
pub(crate) fn refusal(refusal: &Refusal) {
    printed(&refusal.text(), PRINTED_MAX);
    assert!(matches!(refusal.status().as_u16(), 403 | 404 | 503), "{refusal:?}");
}

fn denied(denied: &Denied) {
    let of_label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    assert!((1..=64).contains(&denied.code.len()) && denied.code.bytes().all(of_label), "{denied:?}");
    printed(&denied.reason, 1024);
}

fn fault(fault: &PluginError) {
    printed(&fault.detail, PRINTED_MAX);
}

fn printed(text: &str, most: usize) {
    assert!(text.len() <= most && !text.contains(char::is_control), "not one short line: {text:?}");
}

/// AWS STS API Reference: AssumeRole, AssumeRoleWithWebIdentity, Tag and PolicyDescriptorType.
fn role(role: &Role) {
    arn(role.arn.as_str());
    let name = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    let session_name = role.session_name.as_str();
    assert!((2..=64).contains(&session_name.len()) && session_name.bytes().all(name), "{session_name:?}");
    if let Some(id) = &role.external_id {
        assert!((2..=1224).contains(&id.len()) && id.bytes().all(|b| name(b) || b":/".contains(&b)), "{id:?}");
    }
    assert!((900..=43_200).contains(&role.duration.as_secs()), "{:?}", role.duration);
    assert!(role.tags.len() <= 50, "{:?}", role.tags);
    if let CredentialSource::WebIdentity { audience, .. } = &role.source {
        assert!(role.tags.is_empty() && !audience.is_empty(), "{role:?}");
        printed(audience, 255);
    }
    let of_tag = |c: char| !c.is_control() && (c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
    for (key, value) in &role.tags {
        assert!((1..=128).contains(&key.chars().count()) && key.chars().all(of_tag), "{key:?}");
        assert!(value.chars().count() <= 256 && value.chars().all(of_tag), "{value:?}");
    }
    if let Some(policy) = &role.session_policy {
        let of_policy = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
        assert!((1..=2048).contains(&policy.chars().count()) && policy.chars().all(of_policy), "{policy:?}");
    }
    assert!(role.policy_arns.len() <= 10, "{:?}", role.policy_arns);
    for policy in &role.policy_arns {
        assert!((20..=2048).contains(&policy.chars().count()) && !policy.contains(char::is_control), "{policy:?}");
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
fn arn(arn: &str) {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, resource] = fields[..] else { panic!("no ARN: {arn:?}") };
    assert_eq!((scheme, service, region), ("arn", "iam", ""), "{arn:?}");
    assert!((20..=2048).contains(&arn.len()) && arn.bytes().all(|b| b.is_ascii_graphic()), "{arn:?}");
    assert!(partition.starts_with("aws") && !partition.contains('/'), "{arn:?}");
    assert!(account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()), "{arn:?}");
    let path_and_name = resource.strip_prefix("role/").unwrap();
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or(("", path_and_name));
    assert!((1..=64).contains(&name.len()) && path.len() <= 512 && !path_and_name.contains(':'), "{arn:?}");
}
