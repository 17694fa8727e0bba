//! A plugin failed, so the pods that needed its answer are refused.

use super::Remedy;
use crate::{plugin::PluginErrorKind, policy::POLICY};

pub fn of_plugin(plugin: &str, kind: PluginErrorKind) -> Remedy {
    let more = match kind {
        PluginErrorKind::Trap => "The plugin has a defect, or needs more than its configured `memory`.",
        PluginErrorKind::Timeout => "It took longer than its `timeout`: raise that, or make the plugin faster.",
        PluginErrorKind::Error => "The plugin itself reports an error; the log has its message.",
        PluginErrorKind::Answer => "The plugin has a defect: try it with `metagate plugin test`.",
        PluginErrorKind::Exhausted => "Too many decisions ran at once. This passes by itself.",
    };
    Remedy::say(format!("{} {more}", see_the_log(plugin)))
}

/// What a pod's owner may read too: not how the plugin failed.
pub(super) fn see_the_log(plugin: &str) -> String {
    let what = if plugin == POLICY { "the decision".to_owned() } else { format!("plugin {plugin}") };
    format!("The pod may ask again. The gateway's log says why {what} failed.")
}
