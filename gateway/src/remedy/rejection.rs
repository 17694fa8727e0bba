//! What to do so that the pod has its role: a sentence, and where it can be told, the very command.

use serde::{Deserialize, Serialize};

use crate::{
    config::PluginCode,
    credential::FaultClass,
    events::trust,
    explain::Keeping,
    plugin::Plugin,
    policy::{Decision, Denial, Grant, Rejection, Rules, Said},
    workload::Workload,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    pub say: String,
    /// For a shell, with a word in capitals where only a person knows what belongs there.
    pub command: Option<String>,
}

impl NextStep {
    pub(crate) fn say(say: impl Into<String>) -> Self {
        Self { say: say.into(), command: None }
    }

    fn with(self, command: String) -> Self {
        Self { command: Some(command), ..self }
    }
}

pub(crate) fn of_decision(workload: &Workload, decision: &Decision, rules: &Rules) -> Option<NextStep> {
    Some(match decision.outcome.rejection()? {
        Rejection::NoRole => {
            let reader = rules.plugins.iter().find(|plugin| is_builtin_named(plugin, "annotations"));
            let key = reader.and_then(|plugin| setting(plugin, "role_key")).unwrap_or("iam.amazonaws.com/role".into());
            let say = format!(
                "annotate the pod with {key}, in the template of whatever made it, or its service account with \
                 eks.amazonaws.com/role-arn"
            );
            NextStep::say(say).with(annotate_pod(workload, &key))
        }
        Rejection::Denied(denial) => of_denial(workload, decision, denial, rules),
        Rejection::Failed(fault) => {
            NextStep::say(format!("see the gateway's log for plugin {}; the request may be tried again", fault.plugin))
        }
        Rejection::Relisting => {
            NextStep::say("wait until the roster is listed anew: these plugins read more than was kept of the pod")
        }
        Rejection::BaseUnknown => {
            NextStep::say("set credentials.base_role_arn, or wait until the node's metadata service answers")
        }
    })
}

fn of_denial(workload: &Workload, decision: &Decision, denial: &Denial, rules: &Rules) -> NextStep {
    let said_by = rules.plugins.iter().find(|plugin| plugin.name() == denial.by);
    let permits = said_by.filter(|plugin| is_builtin_named(plugin, "namespace-regex")).map(Permits::of);
    match (denial.code.as_str(), permits) {
        ("namespace-not-permitted" | "role-not-permitted", Some(permits)) => permits.step(workload, decision),
        ("nobody-allowed", _) => {
            NextStep::say("add a plugin whose `authorize` allows this role, such as namespace-regex")
        }
        ("bad-annotation" | "invalid-role", _) => NextStep::say("correct the annotation that the reason names"),
        _ => NextStep::say(format!("ask who owns the policy `{}`", denial.by)),
    }
}

/// Where and how a namespace permits roles: the plugin's own keys, None where one is switched off, and dialect.
struct Permits {
    permitted: Option<String>,
    allowed_roles: Option<String>,
    dialect: String,
}

impl Permits {
    fn of(plugin: &Plugin) -> Self {
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

    /// Adds the role to each annotation that is there, as each must allow; without any, to the one that the dialect is named
    /// after.
    fn step(&self, workload: &Workload, decision: &Decision) -> NextStep {
        let namespace = &workload.namespace;
        let stands = |key: &&String| workload.namespace_annotations.contains_key(key);
        let (permitted, list) = (self.permitted.as_ref(), self.allowed_roles.as_ref());
        let mut chosen = (permitted.filter(stands), list.filter(stands));
        let say = match chosen {
            (None, None) => {
                let of_list = self.dialect.starts_with("kube2iam") && list.is_some() || permitted.is_none();
                chosen = if of_list { (None, list) } else { (permitted, None) };
                format!("annotate namespace {namespace} with what its pods may have")
            }
            _ => format!("give the pod a role that namespace {namespace} permits, or permit its own there too"),
        };
        let expression = chosen.0.map(|key| format!("{key}={}", self.expression(workload, key, decision)));
        let list = chosen.1.map(|key| format!("{key}={}", self.list(workload, key, decision)));
        let quoted = |pair: String| format!(" '{}'", pair.replace('\'', r"'\''"));
        let pairs: String = expression.into_iter().chain(list).map(quoted).collect();
        if pairs.is_empty() {
            return NextStep::say(say);
        }
        NextStep::say(say).with(format!("kubectl annotate namespace {namespace} --overwrite{pairs}"))
    }

    /// The group keeps flags and alternatives of the present expression to itself.
    fn expression(&self, workload: &Workload, key: &str, decision: &Decision) -> String {
        let written = decision.steps.iter().find_map(|step| match &step.said {
            // kiam v3 compares the role as the pod wrote it.
            Said::Role(written) if self.dialect == "kiam-v3" => Some(written.as_str()),
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
        // What is no list permits nothing.
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

fn is_builtin_named(plugin: &Plugin, name: &str) -> bool {
    matches!(&plugin.settings().code, PluginCode::Builtin(builtin) if builtin == name)
}

/// What the plugin's configuration says, where it says it.
fn setting(plugin: &Plugin, key: &str) -> Option<String> {
    plugin.settings().config.get(key)?.as_str().map(str::to_owned)
}

fn annotate_pod(workload: &Workload, key: &str) -> String {
    // One that is there may be empty, which says that the pod has none.
    let overwrite = if workload.annotations.contains_key(key) { " --overwrite" } else { "" };
    format!("kubectl --namespace {} annotate pod {}{overwrite} {key}=ROLE", workload.namespace, workload.pod)
}

/// Policy has granted the role, but AWS gives no credentials for it.
pub(crate) fn of_source(workload: &Workload, grant: &Grant, keeping: &Keeping) -> Option<NextStep> {
    if keeping.held.is_some() {
        return None;
    }
    let say = match keeping.key.as_ref()?.last_error? {
        FaultClass::AccessDenied | FaultClass::Token => trust(workload, Some(grant)),
        FaultClass::Invalid => "AWS cannot make sense of what is asked for: look at the role's annotations".to_owned(),
        FaultClass::Identity => "the gateway has no identity of its own to ask with: see `metagate doctor`".to_owned(),
        FaultClass::Throttled => "AWS is asked too often; it is tried again by itself".to_owned(),
        FaultClass::Unavailable => "AWS STS does not answer; see `metagate doctor`".to_owned(),
    };
    let command = format!("aws iam get-role --role-name {}", grant.role().arn.name());
    let about_role = matches!(keeping.key.as_ref()?.last_error?, FaultClass::AccessDenied | FaultClass::Token);
    Some(NextStep { say, command: about_role.then_some(command) })
}
