//! Exports the names and the version of a policy, but its functions have other types.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "the generated exports of the canonical ABI"))]

wit_bindgen::generate!({ path: "wit", world: "policy-plugin" });

#[derive(Debug)]
pub struct WrongTypes;

impl exports::metagate::policy::plugin::Guest for WrongTypes {
    fn init(_: String) -> Result<(), String> {
        Ok(())
    }

    fn resolve(_: String) -> bool {
        true
    }

    fn authorize(_: String) -> bool {
        true
    }

    fn authorize_path(_: String) -> bool {
        true
    }
}

#[cfg(target_arch = "wasm32")]
export!(WrongTypes);
