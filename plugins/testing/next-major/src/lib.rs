//! A policy for an incompatible version of the interface, which this gateway does not have.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "the generated exports of the canonical ABI"))]

wit_bindgen::generate!({ path: "wit", world: "policy-plugin" });

#[derive(Debug)]
pub struct NextMajor;

impl exports::metagate::policy::plugin::Guest for NextMajor {
    fn init(_: String) -> Result<(), String> {
        Ok(())
    }

    fn decide(_: String) -> bool {
        false
    }
}

#[cfg(target_arch = "wasm32")]
export!(NextMajor);
