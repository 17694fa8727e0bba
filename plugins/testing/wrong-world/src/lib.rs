//! A valid component, but not a policy: it exports only `greet`.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "the generated exports of the canonical ABI"))]

wit_bindgen::generate!({ path: "wit", world: "greeter" });

#[derive(Debug)]
pub struct Greeter;

impl Guest for Greeter {
    fn greet() -> String {
        "hello".to_owned()
    }
}

#[cfg(target_arch = "wasm32")]
export!(Greeter);
