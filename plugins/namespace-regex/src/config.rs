use metagate_plugin_sdk::{CredentialSource, Role};
use serde::Deserialize;

/// Which annotations are read and how. An empty key switches that annotation off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub permitted_key: String,
    pub allowed_roles_key: String,
    pub missing: Missing,
    pub dialect: Dialect,
    /// The plugin abstains from roles with other sources.
    pub sources: Vec<Source>,
}

/// The answer for a namespace that has neither annotation.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    #[default]
    Deny,
    Allow,
}

/// How the annotations are read. In every dialect a pattern must match the whole text, alternatives included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `permitted` is a regular expression of ARNs, `allowed-roles` a list of globs.
    #[default]
    Strict,
    /// The same as `strict`; the name says where the annotations come from.
    KiamV4,
    /// Like `strict`, but `permitted` must match the role as the pod wrote it.
    KiamV3,
    /// The same as `strict`; the name says where the annotations come from.
    #[serde(rename = "kube2iam-glob")]
    Kube2iamGlob,
    /// Like `strict`, but `allowed-roles` is a list of regular expressions.
    #[serde(rename = "kube2iam-regexp")]
    Kube2iamRegexp,
}

/// A credential source, without its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    AssumeRole,
    WebIdentity,
    PodIdentity,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            permitted_key: "iam.amazonaws.com/permitted".to_owned(),
            allowed_roles_key: "iam.amazonaws.com/allowed-roles".to_owned(),
            missing: Missing::default(),
            dialect: Dialect::default(),
            // With IRSA and Pod Identity, the role's trust already names the service account.
            sources: vec![Source::AssumeRole],
        }
    }
}

impl Config {
    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.permitted_key.is_empty() && self.allowed_roles_key.is_empty() {
            return Err("permitted_key, allowed_roles_key: at least one must name an annotation".to_owned());
        }
        for (field, key) in [("permitted_key", &self.permitted_key), ("allowed_roles_key", &self.allowed_roles_key)] {
            if key.contains('*') {
                return Err(format!("{field}: must be one annotation's whole key, without `*`"));
            }
        }
        if self.sources.is_empty() {
            return Err("sources: must name at least one of assume-role, web-identity, pod-identity".to_owned());
        }
        Ok(())
    }
}

impl Source {
    /// Whether the role's credentials come from this source.
    pub(crate) fn is_source_of(self, role: &Role) -> bool {
        self == match role.source {
            CredentialSource::AssumeRole => Self::AssumeRole,
            CredentialSource::WebIdentity(_) => Self::WebIdentity,
            CredentialSource::PodIdentity => Self::PodIdentity,
        }
    }
}
