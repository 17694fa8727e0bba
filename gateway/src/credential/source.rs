//! What a source of credentials is, and how it fails.

use std::{fmt, pin::Pin};

use super::Credential;
use crate::credential_key::CredentialKey;

/// One fetch, no cache, no retry of its own beyond what the transport needs: when to fetch is the keeper's business.
/// A fetch may be dropped before it ends. `issued_at` of what it brings is the moment of the source's answer, also where the
/// source kept it for a while: the credential's life is counted from there.
pub trait Source: Send + Sync + 'static {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a>;
}

pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Credential, FetchError>> + Send + 'a>>;

/// Why a source gave nothing. `code` may be shown to a pod; `detail` is the operator's, as it can name other roles.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct FetchError {
    pub class: FetchErrorKind,
    /// AWS's own error code, where it gave one.
    pub code: Option<String>,
    pub detail: String,
}

/// Decides how long the failure is remembered and what the pod is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchErrorKind {
    /// The role's trust policy, or the gateway's own permissions, say no.
    AccessDenied,
    /// STS will never accept this request: a malformed policy, a bad parameter, a disabled region.
    Invalid,
    /// The workload's web identity token is missing, expired or not accepted.
    Token,
    /// The gateway has no valid identity of its own to ask with.
    Identity,
    Throttled,
    /// A network fault, a timeout, a 5xx, an answer that makes no sense.
    Unavailable,
}

impl FetchErrorKind {
    /// A metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::AccessDenied => "access-denied",
            Self::Invalid => "invalid",
            Self::Token => "token",
            Self::Identity => "identity",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for FetchErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
