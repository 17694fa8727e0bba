//! A policy that imports a function to read the node's files. The gateway offers no such import, so it refuses the
//! plugin at load.

use metagate_plugin_sdk::{Interest, NoConfig, Policy, Resolution, Workload, export_policy};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "reader" });
}

#[derive(Debug)]
pub struct ForeignImport;

impl Policy for ForeignImport {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::none()
    }

    fn resolve(&self, _: &Workload) -> Result<Resolution, String> {
        Ok(Resolution::deny("files", bindings::evil::io::files::read("/etc/shadow")))
    }
}

export_policy!(ForeignImport);
