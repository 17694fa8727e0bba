//! Converts between the gateway's types and the interface's. Every value converts or is refused, and a guest's answers
//! are bounded only here.

use super::{
    Denied, Resolution, Verdict,
    bindings::{self, exports::metagate::policy::plugin as guest, types},
};
use crate::{
    interest::{Interest, Keys, NOW, image_attribute},
    pairs::Pairs,
    role::{CredentialSource, Role},
    workload::Workload,
};

/// The interface promises no list longer than this.
const PAIRS_MAX: usize = 256;
const PAIRS_BYTES_MAX: usize = 64 << 10;
const PATTERNS_MAX: usize = 256;
/// AWS STS API Reference, AssumeRole, RoleArn.
const ARN_MAX: usize = 2048;
const CODE_MAX: usize = 64;
const REASON_MAX: usize = 1024;
/// The name in [`TooMuch`].
const ATTRIBUTES: &str = "attributes";
/// The longest text from a guest that is logged or shown to a person, in bytes.
const PRINTED_MAX: usize = 2048;

/// A role as a plugin answered it: bounded, but not checked against AWS's rules yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAnswer {
    /// An ARN, a name, or a path and name.
    pub written: String,
    pub source: CredentialSource,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    pub duration_seconds: Option<u32>,
    pub tags: Pairs,
    pub session_policy: Option<String>,
    pub policy_arns: Vec<String>,
}

impl RoleAnswer {
    /// A role that leaves every session parameter to the configuration.
    pub fn named(written: impl Into<String>) -> Self {
        Self {
            written: written.into(),
            source: CredentialSource::AssumeRole,
            session_name: None,
            external_id: None,
            duration_seconds: None,
            tags: Pairs::new(),
            session_policy: None,
            policy_arns: Vec::new(),
        }
    }
}

/// A plugin asked for more pairs of a workload than the interface carries. A shortened list could lack the key that a
/// rule denies by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a plugin asks for more than {PAIRS_MAX} {0}, or for more than {PAIRS_BYTES_MAX} bytes of them")]
pub struct TooMuch(pub &'static str);

/// Shows only what `interest` names. `now` is in the interface's format.
pub fn workload_view(from: &Workload, interest: &Interest, now: Option<String>) -> Result<types::Workload, TooMuch> {
    let known = attributes(from).chain(now.map(|now| (NOW.to_owned(), now))).collect();
    Ok(types::Workload {
        namespace: from.namespace.clone(),
        pod: from.pod.clone(),
        uid: from.uid.as_str().to_owned(),
        service_account: from.service_account.clone(),
        node: from.node.clone(),
        ips: from.ips.iter().map(ToString::to_string).collect(),
        labels: bounded_pairs("labels", &interest.labels, &from.labels)?.to_vec(),
        annotations: bounded_pairs("annotations", &interest.annotations, &from.annotations)?.to_vec(),
        namespace_labels: bounded_pairs("namespace labels", &interest.namespace_labels, &from.namespace_labels)?
            .to_vec(),
        namespace_annotations: bounded_pairs(
            "namespace annotations",
            &interest.namespace_annotations,
            &from.namespace_annotations,
        )?
        .to_vec(),
        service_account_annotations: bounded_pairs(
            "service account annotations",
            &interest.service_account_annotations,
            &from.service_account_annotations,
        )?
        .to_vec(),
        attributes: bounded_pairs(ATTRIBUTES, &interest.attributes, &known)?.to_vec(),
    })
}

/// The attributes of a workload that plugins see, without the time, which is no property of the workload.
pub(crate) fn bounded_attributes(from: &Workload, interest: &Interest) -> Result<Pairs, TooMuch> {
    bounded_pairs(ATTRIBUTES, &interest.attributes, &attributes(from).collect())
}

fn attributes(from: &Workload) -> impl Iterator<Item = (String, String)> {
    from.images.iter().map(|(container, image)| (image_attribute(container), image.clone()))
}

/// All pairs that `keys` show, or an error if they are too many.
pub(crate) fn bounded_pairs(what: &'static str, keys: &Keys, from: &Pairs) -> Result<Pairs, TooMuch> {
    let shown = keys.of(from);
    let bytes: usize = shown.iter().map(|(key, value)| key.len() + value.len()).sum();
    if shown.len() > PAIRS_MAX || bytes > PAIRS_BYTES_MAX { Err(TooMuch(what)) } else { Ok(shown) }
}

/// A resolved role as `authorize` sees it.
pub fn role_view(from: &Role, as_written: &str, base: Option<&str>) -> types::Role {
    let mut attributes = vec![("as-written".to_owned(), as_written.to_owned())];
    attributes.extend(base.map(|base| ("base-arn".to_owned(), base.to_owned())));
    attributes.sort();
    types::Role {
        arn: from.arn.to_string(),
        source: match &from.source {
            CredentialSource::AssumeRole => types::CredentialSource::AssumeRole,
            CredentialSource::WebIdentity { audience, .. } => types::CredentialSource::WebIdentity(audience.clone()),
        },
        session_name: Some(from.session_name.to_string()),
        external_id: from.external_id.clone(),
        duration_seconds: u32::try_from(from.duration.as_secs()).ok(),
        tags: from.tags.to_vec(),
        session_policy: from.session_policy.clone(),
        policy_arns: from.policy_arns.clone(),
        attributes,
    }
}

pub(super) fn interest(answer: bindings::Interest) -> Result<Interest, String> {
    let keys = |patterns: Vec<String>| {
        let is_key = |pattern: &String| pattern.len() <= 512 && !pattern.contains(char::is_control);
        let fits = patterns.len() <= PATTERNS_MAX && patterns.iter().all(is_key);
        fits.then(|| Keys::new(patterns)).ok_or_else(|| {
            "its interest has more than 256 keys, or one over 512 bytes or with a control character".to_owned()
        })
    };
    Ok(Interest {
        labels: keys(answer.labels)?,
        annotations: keys(answer.annotations)?,
        namespace_labels: keys(answer.namespace_labels)?,
        namespace_annotations: keys(answer.namespace_annotations)?,
        service_account_annotations: keys(answer.service_account_annotations)?,
        attributes: keys(answer.attributes)?,
    })
}

pub(super) fn resolution(answer: guest::Resolution) -> Result<Resolution, String> {
    Ok(match answer {
        guest::Resolution::Abstain => Resolution::Abstain,
        guest::Resolution::Role(role) => Resolution::Role(role_answer(role)?),
        guest::Resolution::Deny(denial) => Resolution::Deny(denied(denial)?),
    })
}

pub(super) fn verdict(answer: guest::Verdict) -> Result<Verdict, String> {
    Ok(match answer {
        guest::Verdict::Abstain => Verdict::Abstain,
        guest::Verdict::Allow => Verdict::Allow,
        guest::Verdict::Deny(denial) => Verdict::Deny(denied(denial)?),
    })
}

fn role_answer(role: types::Role) -> Result<RoleAnswer, String> {
    let attribute = |key: &str| role.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let source = match role.source {
        types::CredentialSource::AssumeRole => CredentialSource::AssumeRole,
        types::CredentialSource::WebIdentity(ref audience) => CredentialSource::WebIdentity {
            audience: audience.clone(),
            regional: attribute("sts-regional-endpoints") != Some("false"),
        },
        types::CredentialSource::PodIdentity => {
            return Err("it asks for pod-identity credentials, which this gateway has no source for".into());
        }
    };
    if role.arn.len() > ARN_MAX {
        return Err("its role is longer than an ARN can be, 2048 bytes".into());
    }
    if role.tags.len() > PAIRS_MAX || role.policy_arns.len() > PAIRS_MAX {
        return Err("its role has more than 256 tags or policies".into());
    }
    Ok(RoleAnswer {
        written: role.arn,
        source,
        session_name: role.session_name,
        external_id: role.external_id,
        duration_seconds: role.duration_seconds,
        tags: role.tags.into_iter().collect(),
        session_policy: role.session_policy,
        policy_arns: role.policy_arns,
    })
}

/// The code becomes a metric label and the reason a line of an HTTP body, so both are checked.
fn denied(denial: types::Denial) -> Result<Denied, String> {
    let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if denial.code.is_empty() || denial.code.len() > CODE_MAX || !denial.code.bytes().all(label) {
        return Err("its denial's code is not 1 to 64 of a-z, 0-9 and -".into());
    }
    if denial.reason.len() > REASON_MAX {
        return Err("its denial's reason is longer than 1024 bytes".into());
    }
    Ok(Denied { code: denial.code, reason: printable(&denial.reason) })
}

/// One line without control characters, of bounded length.
pub(crate) fn printable(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut bytes = 0;
    clean
        .take_while(|c| {
            bytes += c.len_utf8();
            bytes <= PRINTED_MAX
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_many_annotations_are_refused_and_never_cut_short() {
        let interest = Interest { annotations: Keys::new(["*".to_owned()]), ..Interest::default() };
        let with = |count: usize, bytes: usize| Workload {
            annotations: (0..count).map(|n| (format!("k{n:05}"), "v".repeat(bytes))).collect(),
            ..Workload::default()
        };
        assert!(workload_view(&with(256, 10), &interest, None).is_ok());
        assert_eq!(workload_view(&with(257, 10), &interest, None).unwrap_err(), TooMuch("annotations"));
        assert_eq!(workload_view(&with(1, 65_536), &interest, None).unwrap_err(), TooMuch("annotations"));
        assert!(workload_view(&with(5000, 1000), &Interest::default(), None).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_a_guest_denies_with_is_one_bounded_printable_line(code in any::<String>(), reason in any::<String>()) {
            if let Ok(denied) = denied(types::Denial { code, reason }) {
                prop_assert!(denied.code.len() <= 64 && !denied.code.is_empty());
                prop_assert!(!denied.reason.contains(char::is_control) && denied.reason.len() <= 1024);
            }
        }

        #[test]
        fn printing_is_total_and_bounded(text in any::<String>()) {
            prop_assert!(printable(&text).len() <= PRINTED_MAX);
        }
    }
}
