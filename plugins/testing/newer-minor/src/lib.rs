//! A policy for a newer minor version of the interface, which uses nothing new, and imports WASI. It denies every pod.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "the generated exports of the canonical ABI"))]

wit_bindgen::generate!({ path: "wit", world: "policy-plugin" });

mod with_wasi {
    wit_bindgen::generate!({ path: "../wants-wasi/wit", world: "reader" });
}

use exports::metagate::policy::plugin::{Guest, Interest, Resolution, Role, Verdict, Workload};
use metagate::policy::{host, types::Denial};

#[derive(Debug)]
pub struct NewerMinor;

impl Guest for NewerMinor {
    fn init(_: String) -> Result<Interest, String> {
        host::log(host::Level::Debug, "init");
        Ok(Interest {
            labels: Vec::new(),
            annotations: Vec::new(),
            namespace_labels: Vec::new(),
            namespace_annotations: Vec::new(),
            service_account_annotations: Vec::new(),
            attributes: Vec::new(),
        })
    }

    fn resolve(workload: Workload) -> Result<Resolution, String> {
        Ok(Resolution::Deny(Denial { code: "newer".to_owned(), reason: format!("not for {}", workload.pod) }))
    }

    fn authorize(_: Workload, _: Role) -> Result<Verdict, String> {
        Ok(Verdict::Abstain)
    }

    fn authorize_path(_: Workload, _: String) -> Result<Verdict, String> {
        let _ = with_wasi::wasi::cli::environment::get_environment();
        Ok(Verdict::Abstain)
    }
}

#[cfg(target_arch = "wasm32")]
export!(NewerMinor);
