//! What `metagate plugin new` writes, language by language; the build script lists it.

pub(super) struct Template {
    /// Path and text, with placeholders.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Path and text, as they are.
    pub(super) kept: &'static [(&'static str, &'static str)],
}

include!(concat!(env!("OUT_DIR"), "/templates.rs"));
