//! Policy refused a pod.

use super::{Remedy, node, permit::Permits, plugin};
use crate::{
    config::PluginCode,
    lifecycle::Part,
    plugin::Plugin,
    policy::{Decision, Denial, Rejection, Rules},
    workload::Workload,
};

/// For operators only: it may name other roles of the pod's namespace. None: nothing was refused.
pub fn of_rejection(workload: &Workload, decision: &Decision, rules: &Rules) -> Option<Remedy> {
    Some(match decision.outcome.rejection()? {
        Rejection::NoRole => {
            let reader = rules.plugins.iter().find(|plugin| is_builtin_named(plugin, "annotations"));
            let key = reader.and_then(|plugin| setting(plugin, "role_key")).unwrap_or("iam.amazonaws.com/role".into());
            let say = format!(
                "Annotate the pod with {key} in its template, or its service account with eks.amazonaws.com/role-arn."
            );
            Remedy::say(say).with(annotate_pod(workload, &key))
        }
        Rejection::Denied(denial) => of_denial(workload, decision, denial, rules),
        Rejection::Failed(fault) => plugin::of_plugin(&fault.plugin, fault.kind),
        Rejection::Relisting => {
            Remedy::say("Wait for the roster's relist: plugins read more about pods than the roster kept of this one.")
        }
        Rejection::BaseUnknown => node::of_unready(Part::NodeMetadata),
    })
}

fn of_denial(workload: &Workload, decision: &Decision, denial: &Denial, rules: &Rules) -> Remedy {
    let said_by = rules.plugins.iter().find(|plugin| plugin.name() == denial.by);
    let permits = said_by.filter(|plugin| is_builtin_named(plugin, "namespace-regex")).map(Permits::of);
    match (denial.code.as_str(), permits) {
        ("namespace-not-permitted" | "role-not-permitted", Some(permits)) => permits.remedy(workload, decision),
        ("nobody-allowed", _) => {
            Remedy::say("Add a plugin whose `authorize` allows this role, such as namespace-regex.")
        }
        ("bad-annotation" | "invalid-role", _) => Remedy::say("Correct the annotation that the reason names."),
        _ => Remedy::say(format!("Ask the owner of policy `{}`.", denial.by)),
    }
}

fn is_builtin_named(plugin: &Plugin, name: &str) -> bool {
    matches!(&plugin.settings().code, PluginCode::Builtin(builtin) if builtin == name)
}

/// The plugin's setting, if its configuration has it.
pub(super) fn setting(plugin: &Plugin, key: &str) -> Option<String> {
    plugin.settings().config.get(key)?.as_str().map(str::to_owned)
}

fn annotate_pod(workload: &Workload, key: &str) -> String {
    // A present annotation may be empty, which means no role.
    let overwrite = if workload.annotations.contains_key(key) { " --overwrite" } else { "" };
    format!("kubectl --namespace {} annotate pod {}{overwrite} {key}=ROLE", workload.namespace, workload.pod)
}
