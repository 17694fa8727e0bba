use metagate_plugin_sdk::{CredentialSource, Role};
use serde::Deserialize;

/// What the guest does, and in which phase.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub on: Phase,
    #[serde(rename = "do")]
    pub deed: Deed,
    /// How much: bytes of the huge answers and of `grow`, lines of the log flood, pairs of `many-pairs`.
    pub size: Option<usize>,
    /// The denial of `deny`.
    pub code: String,
    pub reason: String,
    /// The role of `role`, unchecked.
    pub role: RoleTable,
    pub interest: InterestTable,
    /// The annotation that may hold another configuration as JSON, which then applies to that pod. So one compiled
    /// guest serves many tests, and a test can ask about a harmless pod after a harmful one.
    pub script: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Init,
    #[default]
    Resolve,
    Authorize,
    AuthorizePath,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    #[default]
    Abstain,
    Allow,
    Deny,
    Role,
    /// Denies with a reason that lists the keys that it was shown, and how many decisions this instance made before.
    Echo,
    Err,
    HugeErr,
    Panic,
    Trap,
    Loop,
    Grow,
    Recurse,
    LogFlood,
    HugeAnswer,
    HugeDeny,
    ManyPairs,
    #[serde(rename = "bad-utf8")]
    BadUtf8,
}

/// A role with the fields of the interface.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleTable {
    pub arn: String,
    /// The audience; without one the role's source is assume-role.
    pub web_identity: Option<String>,
    pub pod_identity: bool,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    pub duration_seconds: Option<u32>,
    pub tags: Vec<(String, String)>,
    pub session_policy: Option<String>,
    pub policy_arns: Vec<String>,
    pub attributes: Vec<(String, String)>,
}

/// An interest with the lists of the interface.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterestTable {
    pub labels: Vec<String>,
    pub annotations: Vec<String>,
    pub namespace_labels: Vec<String>,
    pub namespace_annotations: Vec<String>,
    pub service_account_annotations: Vec<String>,
    pub attributes: Vec<String>,
}

impl RoleTable {
    pub fn role(&self) -> Role {
        let source = match &self.web_identity {
            Some(audience) => CredentialSource::WebIdentity(audience.clone()),
            None if self.pod_identity => CredentialSource::PodIdentity,
            None => CredentialSource::AssumeRole,
        };
        Role {
            arn: self.arn.clone(),
            source,
            session_name: self.session_name.clone(),
            external_id: self.external_id.clone(),
            duration_seconds: self.duration_seconds,
            tags: self.tags.clone(),
            session_policy: self.session_policy.clone(),
            policy_arns: self.policy_arns.clone(),
            attributes: self.attributes.clone(),
        }
    }
}
