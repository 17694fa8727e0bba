//! The interface of `wit/policy.wit` as Rust, all of it generated: the raw pointers of the canonical ABI are in what
//! expands here and nowhere else. Authors see the types re-exported at the crate's root; the files of the same names
//! give them their methods.

wit_bindgen::generate!({
    path: "wit",
    world: "policy-plugin",
    pub_export_macro: true,
    additional_derives: [PartialEq, Eq],
});
