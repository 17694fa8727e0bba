use crate::Level;
use crate::bindings::metagate::policy::host;

/// Writes one message to the gateway's log, which adds the plugin's name and the workload.
///
/// The gateway keeps at most 64 messages and 16 KiB a call and drops the rest. Off `wasm32` there is no gateway: the
/// message goes nowhere.
///
/// ```
/// use metagate_plugin_sdk::{Level, log};
///
/// log(Level::Debug, "the pod has no team, so another policy decides");
/// ```
pub fn log(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        host::log(level, message);
    }
}
