//! An IAM role with the parameters of its session, as policy resolved them and as a source requests them.

mod arn;
mod session_name;

pub(crate) use arn::is_arn;
pub use arn::{ArnError, BaseArn, RoleArn};
pub use session_name::{SessionName, SessionNameError, SessionTemplate, TemplateError};

use std::{fmt, time::Duration};

use crate::pairs::Pairs;

/// STS accepts sessions of 15 minutes to 12 hours (AWS STS API Reference, AssumeRole, DurationSeconds).
pub const DURATION_BOUNDS: std::ops::RangeInclusive<u64> = 900..=43_200;

/// All parameters of a request to a source. Two workloads with equal roles may share credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Role {
    pub arn: RoleArn,
    pub source: CredentialSource,
    pub session_name: SessionName,
    pub external_id: Option<String>,
    pub duration: Duration,
    pub tags: Pairs,
    pub session_policy: Option<String>,
    pub policy_arns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialSource {
    /// `sts:AssumeRole` with the gateway's own identity.
    AssumeRole,
    /// `sts:AssumeRoleWithWebIdentity` with the workload's own token.
    WebIdentity {
        audience: String,
        /// False if the service account asks for the legacy global endpoint
        /// (`eks.amazonaws.com/sts-regional-endpoints: "false"`).
        regional: bool,
    },
}

/// For a person.
impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssumeRole => f.write_str("AssumeRole"),
            Self::WebIdentity { audience, .. } => write!(f, "AssumeRoleWithWebIdentity, audience {audience}"),
        }
    }
}
