//! All refusals: public status and text, private cause, metric label.
//!
//! A pod reads `text`, an operator reads `cause`. No text names another pod or another role, or quotes AWS's message.

mod refused;

pub use refused::Refused;

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::{
    caller::Unidentified,
    catalogue::PathError,
    credential::{CredentialError, FetchError, FetchErrorKind},
    plugin::PluginError,
    policy::{Denial, Rejection},
    relay::RelayError,
    session::SessionError,
};

#[derive(Clone, Debug)]
pub enum Refusal {
    // The request itself.
    Path(PathError),
    Header(HeaderError),
    Body,
    ForeignHost,
    Method {
        allow: &'static str,
    },
    TokenTtl,
    TokenForwarded,
    TokenDated,
    // The session.
    TokenAbsent,
    Token(SessionError),
    TokenOfAnother,
    // The caller.
    CallerUnknown,
    CallerAbsent,
    CallerAmbiguous,
    /// The pod, or policy's decision about it, changed while the request waited.
    Overtaken,
    /// The rules read more of pods than the roster stored; the watches relist.
    Relisting,
    // Policy.
    Denied(Arc<Denial>),
    PluginFailed(Arc<PluginError>),
    BaseUnknown,
    NoRole,
    OtherRole,
    NoSuchPath,
    // Credentials.
    SourceDenied(Arc<FetchError>),
    SourceFailed {
        error: Arc<FetchError>,
        retry_after: Duration,
    },
    SourceSlow {
        retry_after: Duration,
    },
    // The node's metadata service.
    Upstream {
        detail: String,
    },
    Stopping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("host is missing")]
    HostMissing,
    #[error("a header that must be single is repeated")]
    Repeated,
    #[error("host is malformed")]
    HostMalformed,
    /// The client uses the gateway as a proxy.
    #[error("the request's target names another host")]
    ForeignTarget,
}

/// The AWS error code where AWS gave none.
const ACCESS_DENIED: &str = "AccessDenied";

/// How soon a client may retry when nothing better is known.
const SOON: Duration = Duration::from_secs(1);

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Path(_) | Self::Header(_) | Self::Body | Self::TokenTtl | Self::TokenForwarded => {
                StatusCode::BAD_REQUEST
            }
            Self::TokenAbsent | Self::Token(_) | Self::TokenOfAnother => StatusCode::UNAUTHORIZED,
            Self::ForeignHost | Self::TokenDated | Self::Denied(_) | Self::SourceDenied(_) => StatusCode::FORBIDDEN,
            Self::CallerAbsent | Self::NoRole | Self::OtherRole | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::CallerUnknown
            | Self::CallerAmbiguous
            | Self::Overtaken
            | Self::Relisting
            | Self::PluginFailed(_)
            | Self::BaseUnknown
            | Self::SourceFailed { .. }
            | Self::SourceSlow { .. }
            | Self::Upstream { .. }
            | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// From a closed set: a metric label and a log field.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Path(_) => "bad-path",
            Self::Header(_) => "bad-header",
            Self::Body => "body",
            Self::ForeignHost => "foreign-host",
            Self::Method { .. } => "method",
            Self::TokenTtl => "token-ttl",
            Self::TokenForwarded => "token-forwarded",
            Self::TokenDated => "token-dated",
            Self::TokenAbsent => "token-absent",
            Self::Token(SessionError::NotGenuine) => "token-not-genuine",
            Self::Token(SessionError::Expired) => "token-expired",
            Self::TokenOfAnother => "token-of-another",
            Self::CallerUnknown => "caller-unknown",
            Self::CallerAbsent => "caller-absent",
            Self::CallerAmbiguous => "caller-ambiguous",
            Self::Overtaken => "overtaken",
            Self::Relisting => "relisting",
            Self::Denied(_) => "denied",
            Self::PluginFailed(_) => "plugin-failed",
            Self::BaseUnknown => "base-unknown",
            Self::NoRole => "no-role",
            Self::OtherRole => "other-role",
            Self::NoSuchPath => "no-such-path",
            Self::SourceDenied(_) => "source-denied",
            Self::SourceFailed { .. } => "source-failed",
            Self::SourceSlow { .. } => "source-slow",
            Self::Upstream { .. } => "upstream",
            Self::Stopping => "stopping",
        }
    }

    /// What the pod reads, without the request id.
    pub fn text(&self) -> String {
        match self {
            Self::Path(error) => error.to_string(),
            Self::Header(fault) => fault.to_string(),
            Self::Body => "this service takes no request body".into(),
            Self::ForeignHost => "host is not a name of this service".into(),
            Self::Method { allow } => format!("method is not allowed here; allowed: {allow}"),
            Self::TokenTtl => {
                "X-aws-ec2-metadata-token-ttl-seconds must be given once, as a whole number from 1 to 21600".into()
            }
            Self::TokenForwarded => "no token is issued to a request with X-Forwarded-For".into(),
            Self::TokenDated => "tokens are issued at /latest/api/token only".into(),
            Self::TokenAbsent => "a session token is required; get one by PUT /latest/api/token".into(),
            Self::Token(_) | Self::TokenOfAnother => {
                "session token is not valid; get a new one by PUT /latest/api/token".into()
            }
            Self::CallerUnknown => "your pod is not known yet; ask again".into(),
            Self::CallerAmbiguous => "another pod has your address at the moment; ask again".into(),
            Self::Overtaken => "your pod or its role has just changed; ask again".into(),
            Self::Relisting => "the gateway is relisting its pods; ask again".into(),
            Self::CallerAbsent => "no pod of this node has your address".into(),
            Self::Denied(denial) => format!("denied: {}: {}", denial.code, denial.reason),
            Self::PluginFailed(fault) => format!("policy plugin {} failed; ask again", fault.plugin),
            Self::BaseUnknown => "the node's account is not known yet; ask again".into(),
            Self::NoRole => "this pod has no IAM role".into(),
            Self::OtherRole => "this pod has no such role".into(),
            Self::NoSuchPath => "no such resource".into(),
            Self::SourceDenied(error) => {
                let code = error.code.as_deref().unwrap_or(ACCESS_DENIED);
                format!("AWS refused this role ({code}); its trust policy may not allow the identity that asked for it")
            }
            Self::SourceFailed { error, .. } => {
                format!("credentials are not available at the moment ({}); ask again", error.class)
            }
            Self::SourceSlow { .. } => "credentials are being fetched; ask again".into(),
            Self::Upstream { .. } => "the node's metadata service does not answer; ask again".into(),
            Self::Stopping => "stopping; ask again".into(),
        }
    }

    /// What the operator reads, when there is more to say than `text`.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Denied(denial) => Some(format!("{} said {}: {}", denial.by, denial.code, denial.reason)),
            Self::PluginFailed(fault) => Some(fault.to_string()),
            Self::SourceDenied(error) | Self::SourceFailed { error, .. } => Some(error.to_string()),
            Self::Upstream { detail } => Some(detail.clone()),
            Self::Token(error) => Some(error.to_string()),
            Self::TokenOfAnother => Some("token was minted for another pod".into()),
            _ => None,
        }
    }

    /// The AWS error code, for the body of a refused credential document.
    pub fn aws_code(&self) -> Option<&str> {
        match self {
            Self::SourceDenied(error) => Some(error.code.as_deref().unwrap_or(ACCESS_DENIED)),
            _ => None,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::SourceFailed { retry_after, .. } | Self::SourceSlow { retry_after } => Some((*retry_after).max(SOON)),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(SOON),
            _ => None,
        }
    }

    /// Whether the connection ends with this answer: what follows on it may be the rest of a smuggled request.
    pub fn closes(&self) -> bool {
        matches!(self, Self::Body | Self::Header(_) | Self::ForeignHost | Self::Stopping)
    }
}

impl From<Unidentified> for Refusal {
    fn from(unidentified: Unidentified) -> Self {
        match unidentified {
            Unidentified::Unknown => Self::CallerUnknown,
            Unidentified::Absent => Self::CallerAbsent,
            Unidentified::Ambiguous => Self::CallerAmbiguous,
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NoRole => Self::NoRole,
            Rejection::Denied(denial) => Self::Denied(denial),
            Rejection::Failed(fault) => Self::PluginFailed(fault),
            Rejection::BaseUnknown => Self::BaseUnknown,
            Rejection::Relisting => Self::Relisting,
        }
    }
}

impl From<CredentialError> for Refusal {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Source { error, .. } if error.class == FetchErrorKind::AccessDenied => {
                Self::SourceDenied(error)
            }
            CredentialError::Source { error, retry_after } => Self::SourceFailed { error, retry_after },
            CredentialError::TimedOut { retry_after } => Self::SourceSlow { retry_after },
            CredentialError::Stopped => Self::Stopping,
        }
    }
}

impl From<RelayError> for Refusal {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::NotFound { .. } => Self::NoSuchPath,
            other => Self::Upstream { detail: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(class: FetchErrorKind) -> Refusal {
        let detail = "User: arn:aws:sts::123456789012:assumed-role/node/i-1 is not authorized".to_owned();
        let error = Arc::new(FetchError { class, code: Some("AccessDenied".into()), detail });
        CredentialError::Source { error, retry_after: Duration::from_secs(7) }.into()
    }

    #[test]
    fn what_aws_said_in_full_is_told_to_the_operator_and_not_to_the_pod() {
        for class in [FetchErrorKind::AccessDenied, FetchErrorKind::Identity, FetchErrorKind::Unavailable] {
            let refusal = refused(class);
            assert!(!refusal.text().contains("arn:"), "{}", refusal.text());
            assert!(refusal.cause().unwrap().contains("assumed-role/node"));
        }
    }

    #[test]
    fn a_refusal_by_aws_is_final_and_a_failure_is_to_be_retried() {
        assert_eq!(refused(FetchErrorKind::AccessDenied).status(), StatusCode::FORBIDDEN);
        assert_eq!(refused(FetchErrorKind::AccessDenied).retry_after(), None);
        assert_eq!(refused(FetchErrorKind::Throttled).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused(FetchErrorKind::Throttled).retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_failed_plugin_is_a_503_and_a_denial_a_403() {
        let fault = PluginError {
            plugin: "p".into(),
            kind: crate::plugin::PluginErrorKind::Trap,
            detail: "unreachable at 0x1f".into(),
        };
        let failed = Refusal::PluginFailed(Arc::new(fault));
        assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!failed.text().contains("unreachable"));
        let denial = Denial { by: "p".into(), code: "c".into(), reason: "r".into() };
        assert_eq!(Refusal::Denied(Arc::new(denial)).status(), StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_gap_in_the_roster_and_a_race_have_labels_of_their_own() {
        let gap = Refusal::from(Rejection::Relisting);
        assert_eq!((gap.label(), gap.status()), ("relisting", StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(Refusal::Overtaken.label(), "overtaken");
    }
}
