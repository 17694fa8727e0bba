//! The interface of a credential source, and its errors.

use std::{fmt, pin::Pin};

use super::Credential;
use crate::credential_key::CredentialKey;

/// Each call is one fetch: no cache, and no retries beyond what the transport needs, as the keeper decides when to
/// fetch. A fetch may be dropped before it ends. `issued_at` of the credential is the moment of the source's answer,
/// even if the source had cached it: the credential's life is counted from there.
pub trait Source: Send + Sync + 'static {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a>;
}

pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Credential, FetchError>> + Send + 'a>>;

/// Why a source gave no credential. `code` may be shown to a pod; `detail` is for the operator only, as it can name
/// other roles.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct FetchError {
    pub class: FetchErrorKind,
    /// AWS's own error code, where it gave one.
    pub code: Option<String>,
    pub detail: String,
}

/// Decides how long the backoff is and what the pod is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchErrorKind {
    /// The role's trust policy, or the gateway's own permissions, deny the call.
    AccessDenied,
    /// STS will never accept this request: a malformed policy, a bad parameter, a disabled region.
    Invalid,
    /// The workload's web identity token is missing, expired or not accepted.
    Token,
    /// The gateway has no valid AWS identity of its own.
    Identity,
    Throttled,
    /// A network fault, a timeout, a 5xx, or an answer that cannot be understood.
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
