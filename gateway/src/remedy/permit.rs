//! How a namespace's annotations permit a role that the plugin namespace-regex denied.

use super::{Remedy, rejection::setting};
use crate::{
    plugin::Plugin,
    policy::{Decision, PluginAnswer},
    workload::Workload,
};

/// How the plugin namespace-regex is configured. A key is None where it is switched off.
pub(super) struct Permits {
    permitted: Option<String>,
    allowed_roles: Option<String>,
    dialect: String,
}

impl Permits {
    pub(super) fn of(plugin: &Plugin) -> Self {
        let key = |name, default: &str| {
            let key = setting(plugin, name).unwrap_or(default.into());
            (!key.is_empty()).then_some(key)
        };
        Self {
            permitted: key("permitted_key", "iam.amazonaws.com/permitted"),
            allowed_roles: key("allowed_roles_key", "iam.amazonaws.com/allowed-roles"),
            dialect: setting(plugin, "dialect").unwrap_or_default(),
        }
    }

    /// Adds the role to every present annotation, because each must allow it. Without any, adds the dialect's own.
    pub(super) fn remedy(&self, workload: &Workload, decision: &Decision) -> Remedy {
        let namespace = &workload.namespace;
        let stands = |key: &&String| workload.namespace_annotations.contains_key(key);
        let (permitted, list) = (self.permitted.as_ref(), self.allowed_roles.as_ref());
        let mut chosen = (permitted.filter(stands), list.filter(stands));
        let say = match chosen {
            (None, None) => {
                let of_list = self.dialect.starts_with("kube2iam") && list.is_some() || permitted.is_none();
                chosen = if of_list { (None, list) } else { (permitted, None) };
                format!("Annotate namespace {namespace} with the roles that its pods may have.")
            }
            _ => format!("Give the pod a role that namespace {namespace} permits, or permit its own there too."),
        };
        let expression = chosen.0.map(|key| format!("{key}={}", self.expression(workload, key, decision)));
        let list = chosen.1.map(|key| format!("{key}={}", self.list(workload, key, decision)));
        let quoted = |pair: String| format!(" '{}'", pair.replace('\'', r"'\''"));
        let pairs: String = expression.into_iter().chain(list).map(quoted).collect();
        if pairs.is_empty() {
            return Remedy::say(say);
        }
        Remedy::say(say).with(format!("kubectl annotate namespace {namespace} --overwrite{pairs}"))
    }

    /// The group keeps flags and alternatives of the present expression inside it.
    fn expression(&self, workload: &Workload, key: &str, decision: &Decision) -> String {
        let written = decision.steps.iter().find_map(|step| match &step.answer {
            // kiam v3 compares the role as the pod wrote it.
            PluginAnswer::Role(written) if self.dialect == "kiam-v3" => Some(written.as_str()),
            _ => None,
        });
        let role = regex_lite::escape(written.unwrap_or(arn(decision)));
        match workload.namespace_annotations.get(key).map(|text| text.trim()) {
            None | Some("") => role,
            Some(present) => format!("(?:{present})|{role}"),
        }
    }

    fn list(&self, workload: &Workload, key: &str, decision: &Decision) -> String {
        let present = workload.namespace_annotations.get(key);
        // A malformed list permits nothing.
        let mut list: Vec<String> = present.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
        list.push(match self.dialect.as_str() {
            "kube2iam-regexp" => regex_lite::escape(arn(decision)),
            _ => arn(decision).to_owned(),
        });
        serde_json::json!(list).to_string()
    }
}

fn arn(decision: &Decision) -> &str {
    decision.role.as_ref().map_or("ROLE_ARN", |arn| arn.as_str())
}
