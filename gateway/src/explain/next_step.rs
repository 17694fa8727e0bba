//! What to do so that the pod has its role: a sentence, and where it can be told, the very command.

use serde::{Deserialize, Serialize};

use super::Keeping;
use crate::{
    config::PluginCode,
    events::trust,
    policy::{Decision, Denial, Grant, Rejection, Rules},
    source::FaultClass,
    workload::Workload,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    pub say: String,
    /// For a shell, with a word in capitals where only a person knows what belongs there.
    pub command: Option<String>,
}

impl NextStep {
    pub(super) fn say(say: impl Into<String>) -> Self {
        Self { say: say.into(), command: None }
    }

    fn with(self, command: String) -> Self {
        Self { command: Some(command), ..self }
    }
}

pub(super) fn of_decision(workload: &Workload, decision: &Decision, rules: &Rules) -> Option<NextStep> {
    Some(match decision.outcome.rejection()? {
        Rejection::NoRole => {
            let key = setting(rules, "annotations", "role_key").unwrap_or("iam.amazonaws.com/role".into());
            let say = format!(
                "annotate the pod with {key}, in the template of whatever made it, or its service account with \
                 eks.amazonaws.com/role-arn"
            );
            NextStep::say(say).with(annotate_pod(workload, &format!("{key}=ROLE")))
        }
        Rejection::Denied(denial) => of_denial(workload, decision, denial, rules),
        Rejection::Failed(fault) => {
            NextStep::say(format!("see the gateway's log for plugin {}; the request may be tried again", fault.plugin))
        }
        Rejection::Unread => {
            NextStep::say("wait until the roster is listed anew: these plugins read more than was kept of the pod")
        }
        Rejection::BaseUnknown => {
            NextStep::say("set credentials.base_role_arn, or wait until the node's metadata service answers")
        }
    })
}

fn of_denial(workload: &Workload, decision: &Decision, denial: &Denial, rules: &Rules) -> NextStep {
    let namespace = &workload.namespace;
    match denial.code.as_str() {
        code @ ("namespace-not-permitted" | "role-not-permitted") => {
            let (key, value) = permission(workload, rules, decision);
            let (say, overwrite) = match code {
                "role-not-permitted" => (
                    format!("give the pod a role that namespace {namespace} permits, or add its role to {key} there"),
                    " --overwrite",
                ),
                _ => (format!("add annotation {key} to namespace {namespace}: what its pods may have"), ""),
            };
            let pair = format!("{key}={value}").replace('\'', r"'\''");
            NextStep::say(say).with(format!("kubectl annotate namespace {namespace}{overwrite} '{pair}'"))
        }
        "nobody-allowed" => NextStep::say("add a plugin whose `authorize` allows this role, such as namespace-regex"),
        "bad-annotation" | "invalid-role" => NextStep::say("correct the annotation that the reason names"),
        _ => NextStep::say(format!("ask who owns the policy `{}`", denial.by)),
    }
}

/// The namespace's annotation that permits the role beside what it permits already, in the dialect that is configured.
fn permission(workload: &Workload, rules: &Rules, decision: &Decision) -> (String, String) {
    const PLUGIN: &str = "namespace-regex";
    let arn = decision.role.as_ref().map_or("ROLE_ARN", |arn| arn.as_str());
    let dialect = setting(rules, PLUGIN, "dialect").unwrap_or_default();
    let of_list = dialect.starts_with("kube2iam");
    let (name, default) = match of_list {
        true => ("allowed_roles_key", "iam.amazonaws.com/allowed-roles"),
        false => ("permitted_key", "iam.amazonaws.com/permitted"),
    };
    let key = setting(rules, PLUGIN, name).unwrap_or(default.into());
    let permits = workload.namespace_annotations.get(&key);
    let value = match (of_list, permits) {
        (true, permits) => {
            // What is no list permits nothing.
            let mut list: Vec<String> = permits.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
            list.push(arn.to_owned());
            serde_json::json!(list).to_string()
        }
        (false, Some(permits)) if !permits.is_empty() => format!("{permits}|{}", regex_lite::escape(arn)),
        (false, _) => regex_lite::escape(arn),
    };
    (key, value)
}

/// What a built-in's configuration says, where it says it.
fn setting(rules: &Rules, builtin: &str, key: &str) -> Option<String> {
    let is_it = |code: &PluginCode| matches!(code, PluginCode::Builtin(name) if name == builtin);
    let plugin = rules.plugins.iter().find(|plugin| is_it(&plugin.settings().code))?;
    plugin.settings().config.get(key)?.as_str().filter(|value| !value.is_empty()).map(str::to_owned)
}

fn annotate_pod(workload: &Workload, pair: &str) -> String {
    format!("kubectl --namespace {} annotate pod {} {pair}", workload.namespace, workload.pod)
}

/// Policy has granted the role, but AWS gives no credentials for it.
pub(super) fn of_source(workload: &Workload, grant: &Grant, keeping: &Keeping) -> Option<NextStep> {
    if keeping.held.is_some() {
        return None;
    }
    let say = match keeping.key.as_ref()?.last_error? {
        FaultClass::AccessDenied | FaultClass::Token => trust(workload),
        FaultClass::Invalid => "AWS cannot make sense of what is asked for: look at the role's annotations".to_owned(),
        FaultClass::Identity => "the gateway has no identity of its own to ask with: see `metagate doctor`".to_owned(),
        FaultClass::Throttled => "AWS is asked too often; it is tried again by itself".to_owned(),
        FaultClass::Unavailable => "AWS STS does not answer; see `metagate doctor`".to_owned(),
    };
    let command = format!("aws iam get-role --role-name {}", grant.role().arn.name());
    let about_role = matches!(keeping.key.as_ref()?.last_error?, FaultClass::AccessDenied | FaultClass::Token);
    Some(NextStep { say, command: about_role.then_some(command) })
}
