//! What a path asks for, read as a pod's request is.

use std::borrow::Cow;

use super::NextStep;
use crate::{
    catalogue::{AllowList, Catalogue},
    dialect::{Ask, imds},
    refusal::Refusal,
};

/// What there is to explain.
pub(super) enum Asked {
    /// The pod's role, or the credential of the role that is named so.
    Role(Option<String>),
    /// An entry that the configuration admits, by its path below a version.
    Entry(String),
    /// Versions, or a directory that has something: whoever asks is answered with the names that plugins let them read. Which
    /// those are is not looked into; where there are none, a pod gets 404.
    Listing,
    Nowhere(Nowhere),
}

/// Why nobody is answered.
pub(super) struct Nowhere {
    pub(super) refusal: Refusal,
    /// For an operator, who may be told more than the pod.
    pub(super) reason: String,
    pub(super) next_step: Option<NextStep>,
}

impl Asked {
    /// As a pod writes it, or without the version before it.
    pub(super) fn at(path: &str, allow: &AllowList) -> Self {
        let path: Cow<'_, str> = match imds::is_versioned(path) {
            true => path.into(),
            false => format!("/{}/{path}", imds::LATEST).into(),
        };
        match imds::ask(&path) {
            Ok(Ask::RoleName | Ask::InstanceProfile) => Self::Role(None),
            Ok(Ask::Credential { role, .. }) => Self::Role(Some(role.into_owned())),
            Ok(Ask::Versions | Ask::MintToken(_)) => Self::Listing,
            Ok(Ask::Metadata(segments)) => {
                Self::of_metadata(&segments.iter().map(|segment| &**segment).collect::<Vec<_>>(), allow)
            }
            Err(refusal) => {
                let reason = refusal.cause().unwrap_or_else(|| refusal.text());
                Self::Nowhere(Nowhere { refusal, reason, next_step: None })
            }
        }
    }

    fn of_metadata(segments: &[&str], allow: &AllowList) -> Self {
        match Catalogue::find(segments) {
            Some(entry) if allow.admits(&entry) => Self::Entry(entry.path().to_owned()),
            Some(entry) => Self::Nowhere(Nowhere {
                refusal: Refusal::NoSuchPath,
                reason: format!("{entry} is not in imds.allow"),
                next_step: Some(NextStep::say(format!("add \"{entry}\" to imds.allow"))),
            }),
            // What the gateway lists there is the pod's role, which is named further down.
            None if segments == ["meta-data", "iam"] => Self::Role(None),
            None if Catalogue::listing(segments, allow).is_some() => Self::Listing,
            None => Self::Nowhere(Nowhere {
                refusal: Refusal::NoSuchPath,
                reason: format!("{} is not a path that any pod may read", segments.join("/")),
                next_step: None,
            }),
        }
    }
}
