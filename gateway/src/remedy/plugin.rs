//! A plugin gave no answer, so its pods are refused.

use super::Remedy;
use crate::{plugin::FaultKind, policy::POLICY};

pub fn of_plugin(plugin: &str, kind: FaultKind) -> Remedy {
    let more = match kind {
        FaultKind::Trap => "The plugin has a defect, or needs more `memory` than its configuration allows.",
        FaultKind::Timeout => "It took longer than its `timeout`: raise that, or make the plugin faster.",
        FaultKind::Error => "The plugin itself reports an error; the log has its message.",
        FaultKind::Answer => "The plugin has a defect: try it with `metagate plugin test`.",
        FaultKind::Exhausted => "Too many decisions ran at once. This passes by itself.",
    };
    Remedy::say(format!("{} {more}", see_the_log(plugin)))
}

/// All that a pod's owner is told: not how a plugin failed.
pub(super) fn see_the_log(plugin: &str) -> String {
    let what = if plugin == POLICY { "the decision".to_owned() } else { format!("plugin {plugin}") };
    format!("The pod may ask again. The gateway's log says why {what} failed.")
}
