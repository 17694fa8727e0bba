//! A policy for a newer minor version of the interface, which calls the host's new function.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "the generated exports of the canonical ABI"))]

wit_bindgen::generate!({ path: "../newer-minor/wit", world: "policy-plugin" });

use exports::metagate::policy::plugin::{Guest, Interest, Resolution, Role, Verdict, Workload};
use metagate::policy::{host, types::Denial};

#[derive(Debug)]
pub struct NewerMinorCalls;

impl Guest for NewerMinorCalls {
    fn init(_: String) -> Result<Interest, String> {
        host::metric("starts", 1);
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
        Ok(Verdict::Abstain)
    }
}

#[cfg(target_arch = "wasm32")]
export!(NewerMinorCalls);
