//! A policy that imports WASI: it loads and starts, and traps in `resolve`, where it calls WASI.

use metagate_plugin_sdk::{Interest, NoConfig, Policy, Resolution, Workload, export_policy};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "reader" });
}

#[derive(Debug)]
pub struct WantsWasi;

impl Policy for WantsWasi {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::none()
    }

    fn resolve(&self, _: &Workload) -> Result<Resolution, String> {
        let variables = bindings::wasi::cli::environment::get_environment();
        Ok(Resolution::deny("environment", format!("{} variables of the node", variables.len())))
    }
}

export_policy!(WantsWasi);
