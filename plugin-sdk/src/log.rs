use crate::Level;
use crate::bindings::metagate::policy::host;

/// Writes one message to the gateway's log, which adds the plugin's name and the workload.
///
/// The gateway logs at most 64 messages and 16 KiB per call and drops the rest. Outside `wasm32` there is no gateway,
/// and the message is dropped.
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
