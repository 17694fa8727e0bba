//! Authorizes a role by the annotations of the pod's namespace, in the dialect of kube2iam or kiam, or in a strict one.

mod config;
mod rule;

use metagate_plugin_sdk::{Interest, Policy, Role, Verdict, Workload, export_policy};

pub use config::{Config, Dialect, Missing, Source};
use rule::{Judgement, allowed_roles, permitted};

#[derive(Debug)]
pub struct NamespaceRegex(Config);

impl Policy for NamespaceRegex {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        config.check()?;
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let keys = [&self.0.permitted_key, &self.0.allowed_roles_key];
        Interest::none().namespace_annotations(keys.into_iter().filter(|key| !key.is_empty()))
    }

    fn authorize(&self, workload: &Workload, role: &Role) -> Result<Verdict, String> {
        let Config { permitted_key, allowed_roles_key, missing, dialect, sources } = &self.0;
        if !sources.iter().any(|source| source.is_source_of(role)) {
            return Ok(Verdict::Abstain);
        }
        let expression = workload.namespace_annotation(permitted_key);
        let list = workload.namespace_annotation(allowed_roles_key);
        let mut judgements = Vec::with_capacity(2);
        if let Some(text) = expression {
            judgements.push((permitted_key, permitted(*dialect, text, role)?));
        }
        if let Some(text) = list {
            judgements.push((allowed_roles_key, allowed_roles(*dialect, text, role)));
        }
        if judgements.is_empty() {
            return Ok(self.without_annotation(workload, *missing));
        }
        let denial = judgements.into_iter().find_map(|(key, judgement)| denial(workload, role, key, judgement));
        Ok(denial.unwrap_or(Verdict::Allow))
    }
}

impl NamespaceRegex {
    fn without_annotation(&self, workload: &Workload, missing: Missing) -> Verdict {
        match missing {
            Missing::Allow => Verdict::Allow,
            Missing::Deny => Verdict::deny(
                "namespace-not-permitted",
                format!(
                    "namespace `{}` has no annotation that permits roles: annotate it with {}",
                    workload.namespace,
                    self.interest().namespace_annotations.join(" or ")
                ),
            ),
        }
    }
}

/// The pod reads the reason, so it does not quote the annotation.
fn denial(workload: &Workload, role: &Role, key: &str, judgement: Judgement) -> Option<Verdict> {
    let namespace = &workload.namespace;
    match judgement {
        Judgement::Permits => None,
        Judgement::Omits => Some(Verdict::deny(
            "role-not-permitted",
            format!("annotation `{key}` of namespace `{namespace}` does not permit {}", role.arn),
        )),
        Judgement::Malformed(mistake) => Some(Verdict::deny(
            "bad-annotation",
            format!("annotation `{key}` of namespace `{namespace}` permits nothing until it is mended: {mistake}"),
        )),
    }
}

export_policy!(NamespaceRegex);

#[cfg(test)]
mod tests;
