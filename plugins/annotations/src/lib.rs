//! Resolves a pod's role from its annotations, as kube2iam and kiam do. Other plugins decide whether the pod may have
//! it.

mod value;

use metagate_plugin_sdk::{Interest, Policy, Resolution, Role, Workload, export_policy};
use serde::Deserialize;

use value::ValueError;

const BAD_ANNOTATION: &str = "bad-annotation";

/// Which annotations are read. An empty key switches that annotation off, except `role_key`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub role_key: String,
    pub external_id_key: String,
    pub session_name_key: String,
    /// The prefix of session names from a pod's annotation; `kiam-` gives the same names as kiam.
    pub session_name_prefix: String,
    /// The namespace annotation with the role of pods that have no role annotation.
    pub namespace_default_key: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role_key: "iam.amazonaws.com/role".to_owned(),
            external_id_key: "iam.amazonaws.com/external-id".to_owned(),
            session_name_key: "iam.amazonaws.com/session-name".to_owned(),
            session_name_prefix: String::new(),
            namespace_default_key: String::new(),
        }
    }
}

#[derive(Debug)]
pub struct Annotations(Config);

impl Policy for Annotations {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if config.role_key.is_empty() {
            return Err("role_key: must name the annotation that holds a pod's role".to_owned());
        }
        let keys = [
            ("role_key", &config.role_key),
            ("external_id_key", &config.external_id_key),
            ("session_name_key", &config.session_name_key),
            ("namespace_default_key", &config.namespace_default_key),
        ];
        for (field, key) in keys {
            if key.contains('*') {
                return Err(format!("{field}: must be one annotation's whole key, without `*`"));
            }
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let Config { role_key, external_id_key, session_name_key, namespace_default_key, .. } = &self.0;
        let on = |key: &&String| !key.is_empty();
        Interest::none()
            .annotations([role_key, external_id_key, session_name_key].into_iter().filter(on))
            .namespace_annotations(Some(namespace_default_key).into_iter().filter(on))
    }

    fn resolve(&self, workload: &Workload) -> Result<Resolution, String> {
        Ok(match self.role_of(workload) {
            Ok(Some(role)) => Resolution::Role(role),
            Ok(None) => Resolution::Abstain,
            Err(reason) => Resolution::deny(BAD_ANNOTATION, reason),
        })
    }
}

impl Annotations {
    /// The workload's role, or the sentence that refuses it.
    fn role_of(&self, workload: &Workload) -> Result<Option<Role>, String> {
        let config = &self.0;
        // An empty annotation means "no role", so the namespace's default does not apply either.
        let named = match workload.annotation(&config.role_key) {
            Some(text) => value::role(text).map_err(|fault| sentence("pod", &config.role_key, fault))?,
            None => match workload.namespace_annotation(&config.namespace_default_key) {
                Some(text) => {
                    value::role(text).map_err(|fault| sentence("namespace", &config.namespace_default_key, fault))?
                }
                None => None,
            },
        };
        let Some(arn) = named else { return Ok(None) };
        let mut role = Role::named(arn);
        if let Some(text) = workload.annotation(&config.external_id_key) {
            role.external_id =
                value::external_id(text).map_err(|fault| sentence("pod", &config.external_id_key, fault))?;
        }
        if let Some(text) = workload.annotation(&config.session_name_key) {
            role.session_name = value::session_name(&config.session_name_prefix, text)
                .map_err(|fault| sentence("pod", &config.session_name_key, fault))?;
        }
        Ok(Some(role))
    }
}

fn sentence(object: &str, key: &str, fault: ValueError) -> String {
    format!("the {object}'s annotation `{key}` {fault}")
}

export_policy!(Annotations);

#[cfg(test)]
mod tests;
