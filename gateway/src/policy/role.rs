//! Turns a plugin's answer into a role that AWS could accept.
//!
//! A mistake here comes from an annotation or a label as often as from the plugin, and a retry would not help. So it is
//! a denial that says what to correct, and not a failure.

use std::time::Duration;

use super::{Defaults, Rejection};
use crate::{
    pairs::Pairs,
    plugin::RoleAnswer,
    role::{CredentialSource, DURATION_BOUNDS, Role, is_arn},
    workload::Workload,
};

/// IAM API Reference, CreateOpenIDConnectProvider, ClientIDList.
const AUDIENCE: std::ops::RangeInclusive<usize> = 1..=255;
/// AWS STS API Reference, AssumeRole: ExternalId, Tags, Policy, PolicyArns.
const EXTERNAL_ID: std::ops::RangeInclusive<usize> = 2..=1224;
const TAGS_MAX: usize = 50;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;
const POLICY_MAX: usize = 2048;
const POLICY_ARNS_MAX: usize = 10;
const POLICY_ARN: std::ops::RangeInclusive<usize> = 20..=2048;

/// A denial names `by`.
pub(crate) fn complete(
    answer: RoleAnswer,
    by: &str,
    workload: &Workload,
    defaults: &Defaults,
) -> Result<Role, Rejection> {
    let invalid = |what: String| Rejection::denied(by, "invalid-role", what);
    let written = answer.written;
    let arn = match &defaults.base {
        Some(base) => base.expand(&written),
        None if is_arn(&written) => written.parse(),
        None => return Err(Rejection::BaseUnknown),
    };
    let arn = arn.map_err(|error| invalid(format!("role {} {error}", shortened(&written))))?;
    let session_name = match &answer.session_name {
        Some(name) => name.parse().map_err(|error| invalid(format!("session name {} {error}", shortened(name))))?,
        None => defaults.session_name.render(workload),
    };
    if let Some(id) = &answer.external_id {
        let character = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
        if !EXTERNAL_ID.contains(&id.len()) || !id.bytes().all(character) {
            return Err(invalid("external id is not 2 to 1224 of the characters A-Z a-z 0-9 _ + = , . @ : / -".into()));
        }
    }
    let duration = match answer.duration_seconds.map(u64::from) {
        None => defaults.session_duration,
        Some(seconds) if DURATION_BOUNDS.contains(&seconds) => Duration::from_secs(seconds),
        Some(seconds) => return Err(invalid(format!("session duration of {seconds} s is not between 900 and 43200"))),
    };
    let tags = tags(answer.tags, &answer.source, workload, defaults).map_err(invalid)?;
    check_audience(&answer.source).map_err(invalid)?;
    check_policies(answer.session_policy.as_deref(), &answer.policy_arns).map_err(invalid)?;
    Ok(Role {
        arn,
        source: answer.source,
        session_name,
        external_id: answer.external_id,
        duration,
        tags,
        session_policy: answer.session_policy,
        policy_arns: answer.policy_arns,
    })
}

/// The workload's identity wins over a plugin's values for the same keys: ABAC policies must be able to trust these
/// tags. AssumeRoleWithWebIdentity accepts no tags.
fn tags(given: Pairs, source: &CredentialSource, workload: &Workload, defaults: &Defaults) -> Result<Pairs, String> {
    if matches!(source, CredentialSource::WebIdentity { .. }) {
        return if given.is_empty() { Ok(given) } else { Err("a web identity session cannot carry tags".into()) };
    }
    let own = [
        ("kubernetes-namespace", workload.namespace.as_str()),
        ("kubernetes-service-account", workload.service_account.as_str()),
        ("kubernetes-pod-name", workload.pod.as_str()),
        ("kubernetes-pod-uid", workload.uid.as_str()),
    ];
    let tags = if defaults.session_tags { given.with(own) } else { given };
    if tags.len() > TAGS_MAX {
        return Err("more than 50 session tags".into());
    }
    if let Some((key, _)) =
        tags.iter().find(|(key, value)| key.is_empty() || key.len() > TAG_KEY_MAX || value.len() > TAG_VALUE_MAX)
    {
        return Err(format!("session tag {} is empty or too long", shortened(key)));
    }
    let fits = |text: &str| text.chars().all(is_tag_character);
    if let Some((key, _)) = tags.iter().find(|(key, value)| !fits(key) || !fits(value)) {
        return Err(format!(
            "session tag {} holds more than letters, digits, spaces and _ . : / = + - @",
            shortened(key)
        ));
    }
    Ok(tags)
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`.
fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

fn check_audience(source: &CredentialSource) -> Result<(), String> {
    match source {
        CredentialSource::WebIdentity { audience, .. }
            if !AUDIENCE.contains(&audience.len()) || audience.contains(char::is_control) =>
        {
            Err("audience is not 1 to 255 printable characters".into())
        }
        CredentialSource::WebIdentity { .. } | CredentialSource::AssumeRole => Ok(()),
    }
}

fn check_policies(session_policy: Option<&str>, arns: &[String]) -> Result<(), String> {
    let character = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
    if session_policy.is_some_and(|policy| policy.len() > POLICY_MAX) {
        return Err("session policy is longer than 2048 characters".into());
    }
    if session_policy.is_some_and(|policy| policy.is_empty() || !policy.chars().all(character)) {
        return Err("session policy is empty or holds a character that is not of Latin-1".into());
    }
    if arns.len() > POLICY_ARNS_MAX {
        return Err("more than 10 session policy ARNs".into());
    }
    match arns.iter().find(|arn| !POLICY_ARN.contains(&arn.len()) || arn.contains(char::is_control)) {
        Some(arn) => Err(format!("session policy ARN {} is not 20 to 2048 printable characters", shortened(arn))),
        None => Ok(()),
    }
}

/// The first 80 characters, enough to recognise the text.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{short}`")
}
