//! Between our types and the interface's, both ways, total. What a guest says is bounded here, once.

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
/// In `TooMuch`.
const ATTRIBUTES: &str = "attributes";
/// Longest text of a guest that is written to a log or shown to a person.
const PRINTED_MAX: usize = 2048;

/// A role as a plugin said it: bounded, not yet checked against AWS's own rules.
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
    /// With every parameter of the session left to the configuration.
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

/// A workload that has more of what a plugin asked for than the interface carries. Cutting it short could hide the very
/// key that a rule denies by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {PAIRS_MAX} {0} or {PAIRS_BYTES_MAX} bytes of them are asked for by a plugin")]
pub struct TooMuch(pub &'static str);

/// Only what `interest` names. `now` is as the interface has it.
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

/// What plugins see of a workload's attributes but for the time, which is no property of it.
pub(crate) fn bounded_attributes(from: &Workload, interest: &Interest) -> Result<Pairs, TooMuch> {
    bounded_pairs(ATTRIBUTES, &interest.attributes, &attributes(from).collect())
}

fn attributes(from: &Workload) -> impl Iterator<Item = (String, String)> {
    from.images.iter().map(|(container, image)| (image_attribute(container), image.clone()))
}

/// The pairs that `keys` show, whole or not at all.
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

pub(super) fn interest(said: bindings::Interest) -> Result<Interest, String> {
    let keys = |patterns: Vec<String>| {
        let is_key = |pattern: &String| pattern.len() <= 512 && !pattern.contains(char::is_control);
        let fits = patterns.len() <= PATTERNS_MAX && patterns.iter().all(is_key);
        fits.then(|| Keys::new(patterns)).ok_or_else(|| {
            "its interest has more than 256 keys, or one over 512 bytes or with a control character".to_owned()
        })
    };
    Ok(Interest {
        labels: keys(said.labels)?,
        annotations: keys(said.annotations)?,
        namespace_labels: keys(said.namespace_labels)?,
        namespace_annotations: keys(said.namespace_annotations)?,
        service_account_annotations: keys(said.service_account_annotations)?,
        attributes: keys(said.attributes)?,
    })
}

pub(super) fn resolution(said: guest::Resolution) -> Result<Resolution, String> {
    Ok(match said {
        guest::Resolution::Abstain => Resolution::Abstain,
        guest::Resolution::Role(role) => Resolution::Role(role_answer(role)?),
        guest::Resolution::Deny(denial) => Resolution::Deny(denied(denial)?),
    })
}

pub(super) fn verdict(said: guest::Verdict) -> Result<Verdict, String> {
    Ok(match said {
        guest::Verdict::Abstain => Verdict::Abstain,
        guest::Verdict::Allow => Verdict::Allow,
        guest::Verdict::Deny(denial) => Verdict::Deny(denied(denial)?),
    })
}

fn role_answer(said: types::Role) -> Result<RoleAnswer, String> {
    let attribute = |key: &str| said.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let source = match said.source {
        types::CredentialSource::AssumeRole => CredentialSource::AssumeRole,
        types::CredentialSource::WebIdentity(ref audience) => CredentialSource::WebIdentity {
            audience: audience.clone(),
            regional: attribute("sts-regional-endpoints") != Some("false"),
        },
        types::CredentialSource::PodIdentity => {
            return Err("it asks for pod-identity credentials, which this gateway has no source for".into());
        }
    };
    if said.arn.len() > ARN_MAX {
        return Err("its role is longer than an ARN can be, 2048 bytes".into());
    }
    if said.tags.len() > PAIRS_MAX || said.policy_arns.len() > PAIRS_MAX {
        return Err("its role has more than 256 tags or policies".into());
    }
    Ok(RoleAnswer {
        written: said.arn,
        source,
        session_name: said.session_name,
        external_id: said.external_id,
        duration_seconds: said.duration_seconds,
        tags: said.tags.into_iter().collect(),
        session_policy: said.session_policy,
        policy_arns: said.policy_arns,
    })
}

/// The code becomes a metric label and the reason a line of an HTTP body, so neither may be just anything.
fn denied(said: types::Denial) -> Result<Denied, String> {
    let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if said.code.is_empty() || said.code.len() > CODE_MAX || !said.code.bytes().all(label) {
        return Err("its denial's code is not 1 to 64 of a-z, 0-9 and -".into());
    }
    if said.reason.len() > REASON_MAX {
        return Err("its denial's reason is longer than 1024 bytes".into());
    }
    Ok(Denied { code: said.code, reason: printable(&said.reason) })
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
