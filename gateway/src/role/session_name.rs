//! Role session names, by which CloudTrail shows a pod.

use std::{fmt, str::FromStr, sync::Arc};

use sha2::{Digest, Sha256};

use super::arn::is_name_byte;
use crate::workload::Workload;

/// AWS STS API Reference, AssumeRole, RoleSessionName: 2 to 64 of `[\w+=,.@-]`.
const MIN: usize = 2;
const MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionName(Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -")]
pub struct SessionNameError;

impl SessionName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionName {
    type Err = SessionNameError;

    fn from_str(written: &str) -> Result<Self, SessionNameError> {
        let fits = (MIN..=MAX).contains(&written.len()) && written.bytes().all(is_name_byte);
        fits.then(|| Self(written.into())).ok_or(SessionNameError)
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text with `{namespace}`, `{pod}`, `{service_account}`, `{uid}` and `{node}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTemplate(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Namespace,
    Pod,
    ServiceAccount,
    Uid,
    Node,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("names {{{0}}}; known are {{namespace}}, {{pod}}, {{service_account}}, {{uid}} and {{node}}")]
    Unknown(String),
    #[error("has a `{{` without its `}}`")]
    Unclosed,
    #[error("holds `{0}`; a session name has only A-Z a-z 0-9 _ + = , . @ -")]
    Character(char),
    #[error("is empty")]
    Empty,
}

impl FromStr for SessionTemplate {
    type Err = TemplateError;

    fn from_str(written: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = written;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
            pieces.push(Piece::Text(check_text(text)?));
            pieces.push(match name {
                "namespace" => Piece::Namespace,
                "pod" => Piece::Pod,
                "service_account" => Piece::ServiceAccount,
                "uid" => Piece::Uid,
                "node" => Piece::Node,
                other => return Err(TemplateError::Unknown(other.to_owned())),
            });
            rest = tail;
        }
        pieces.push(Piece::Text(check_text(rest)?));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        if pieces.is_empty() {
            return Err(TemplateError::Empty);
        }
        Ok(Self(pieces))
    }
}

fn check_text(text: &str) -> Result<String, TemplateError> {
    match text.chars().find(|c| !u8::try_from(*c).is_ok_and(is_name_byte)) {
        Some(odd) => Err(TemplateError::Character(odd)),
        None => Ok(text.to_owned()),
    }
}

impl SessionTemplate {
    /// Always a valid name. A name that is too long keeps its beginning and ends in a digest of the whole name, so that
    /// two long pod names never share a session name.
    pub fn render(&self, workload: &Workload) -> SessionName {
        let mut name = String::new();
        for piece in &self.0 {
            name.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Namespace => &workload.namespace,
                Piece::Pod => &workload.pod,
                Piece::ServiceAccount => &workload.service_account,
                Piece::Uid => workload.uid.as_str(),
                Piece::Node => &workload.node,
            });
        }
        let clean: String =
            name.chars().map(|c| if u8::try_from(c).is_ok_and(is_name_byte) { c } else { '-' }).collect();
        if (MIN..=MAX).contains(&clean.len()) && clean == name {
            return SessionName(clean.into());
        }
        let digest: String = Sha256::digest(&name).iter().take(5).map(|b| format!("{b:02x}")).collect();
        let head = clean.get(..clean.len().min(MAX - 1 - digest.len())).unwrap_or_default();
        SessionName(format!("{head}-{digest}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn workload(namespace: &str, pod: &str) -> Workload {
        Workload { namespace: namespace.into(), pod: pod.into(), ..Workload::default() }
    }

    fn render(template: &str, namespace: &str, pod: &str) -> String {
        template.parse::<SessionTemplate>().unwrap().render(&workload(namespace, pod)).to_string()
    }

    #[test]
    fn a_short_name_is_kept_as_written() {
        assert_eq!(render("kiam-{namespace}.{pod}", "payments", "checkout-0"), "kiam-payments.checkout-0");
    }

    #[test]
    fn long_names_that_differ_only_at_their_end_stay_apart() {
        let (a, b) = ("a".repeat(80) + "1", "a".repeat(80) + "2");
        let (a, b) = (render("{pod}", "n", &a), render("{pod}", "n", &b));
        assert_ne!(a, b);
        assert_eq!((a.len(), b.len()), (64, 64));
    }

    #[test]
    fn wrong_templates_say_why() {
        let error = |written: &str| written.parse::<SessionTemplate>().unwrap_err();
        assert_eq!(error("{name}"), TemplateError::Unknown("name".into()));
        assert_eq!(error("a{pod"), TemplateError::Unclosed);
        assert_eq!(error("a b"), TemplateError::Character(' '));
        assert_eq!(error(""), TemplateError::Empty);
    }

    proptest! {
        #[test]
        fn every_rendered_name_is_one_that_sts_accepts(ns in any::<String>(), pod in any::<String>()) {
            let name = render("{namespace}.{pod}", &ns, &pod);
            prop_assert!(name.parse::<SessionName>().is_ok(), "{name}");
        }
    }
}
