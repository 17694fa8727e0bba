//! Embeds the plugins that come with the gateway, as components. This crate's build script builds them from source, or
//! takes them from the folder that `METAGATE_PLUGIN_DIR` names.

pub mod engine;
pub mod sealed;

use wasmtime::Engine;
use wasmtime::component::Component;

/// A built-in plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// The name in `builtin = "…"` of the configuration.
    pub name: &'static str,
    /// The component.
    pub wasm: &'static [u8],
    /// The component's native code for an engine with [`engine::compile_settings`], for the architecture's baseline
    /// CPU. None if the build was for another architecture than that of the build machine, without the feature `cross`.
    pub precompiled: Option<&'static [u8]>,
}

impl Builtin {
    /// Loads the native code if there is any, else compiles the component.
    ///
    /// # Errors
    /// If the engine's settings that affect code differ from [`engine::compile_settings`], or if compiling fails.
    pub fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        match self.precompiled {
            // SAFETY: wasmtime made these bytes when this crate was built, and since then they are in the program's
            // read-only data. wasmtime checks version and settings.
            #[expect(unsafe_code, reason = "loading native code is as trusted as linking it")]
            Some(code) => unsafe { Component::deserialize(engine, code) },
            None => Component::new(engine, self.wasm),
        }
    }
}

/// The built-in plugin of this name.
#[must_use]
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
