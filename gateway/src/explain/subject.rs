//! What a path asks for, read as a pod's request is.

use std::borrow::Cow;

use crate::{
    catalogue::{AllowList, Catalogue, Directory, Own, Resolved},
    dialect::{Operation, imds},
    refusal::Refusal,
    remedy::Remedy,
};

/// What there is to explain.
pub(super) enum Subject {
    /// The pod's role, or the credential of the role that is named so.
    Role(Option<String>),
    /// An entry that `imds.allow` admits, by its path below a version.
    Entry(String),
    Directory(Directory),
    /// The service's versions, which every pod may list.
    Versions,
    NotServed(NotServed),
}

/// A request that no pod gets an answer to, and why.
pub(super) struct NotServed {
    pub(super) refusal: Refusal,
    /// For an operator, who may be told more than the pod.
    pub(super) reason: String,
    pub(super) next_step: Option<Remedy>,
}

impl Subject {
    /// As a pod writes it, or without the version before it.
    pub(super) fn at(path: &str, allow: &AllowList) -> Self {
        let path: Cow<'_, str> = match imds::is_versioned(path) {
            true => path.into(),
            false => format!("/{}/{path}", imds::LATEST).into(),
        };
        match imds::operation(&path) {
            Ok(Operation::RoleName | Operation::InstanceProfile) => Self::Role(None),
            Ok(Operation::Credential { role, .. }) => Self::Role(Some(role.into_owned())),
            Ok(Operation::Versions | Operation::MintToken(_)) => Self::Versions,
            Ok(Operation::Metadata(segments)) => {
                Self::of_metadata(&segments.iter().map(|segment| &**segment).collect::<Vec<_>>(), allow)
            }
            Err(refusal) => {
                let reason = refusal.cause().unwrap_or_else(|| refusal.text());
                Self::NotServed(NotServed { refusal, reason, next_step: None })
            }
        }
    }

    fn of_metadata(segments: &[&str], allow: &AllowList) -> Self {
        match Catalogue::resolve(segments, allow) {
            Resolved::Entry(entry) => Self::Entry(entry.path().to_owned()),
            // What the gateway lists there is the pod's role, which is named further down.
            Resolved::Directory(directory) if matches!(directory.own(), Own::OfRole(_)) => Self::Role(None),
            Resolved::Directory(directory) => Self::Directory(directory),
            Resolved::NotAllowed(entry) => Self::NotServed(NotServed {
                refusal: Refusal::NoSuchPath,
                reason: format!("{entry} is not in imds.allow"),
                next_step: Some(Remedy::say(format!("add \"{entry}\" to imds.allow"))),
            }),
            Resolved::Unknown => Self::NotServed(NotServed {
                refusal: Refusal::NoSuchPath,
                reason: format!("{} is not a path that any pod may read", segments.join("/")),
                next_step: None,
            }),
        }
    }
}
