//! The interface of `wit/policy.wit` as Rust, all of it generated. Only this code has the raw pointers of the canonical
//! ABI. The crate's root re-exports the types for authors; the modules of the same names add their methods.

wit_bindgen::generate!({
    path: "wit",
    world: "policy-plugin",
    pub_export_macro: true,
    additional_derives: [PartialEq, Eq],
});
