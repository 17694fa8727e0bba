//! The plugins that come with the gateway, as components: built by this crate's build script from the sources beside it,
//! or taken from the folder that `METAGATE_PLUGIN_DIR` names, and embedded.

pub mod engine;
pub mod sealed;

use wasmtime::Engine;
use wasmtime::component::Component;

/// A built-in plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// As `builtin = "…"` in the configuration has it.
    pub name: &'static str,
    /// The component.
    pub wasm: &'static [u8],
    /// The component's native code for an engine of [`engine::compile_settings`], for the architecture's baseline CPU;
    /// none where the build was for another architecture than the machine it ran on.
    pub precompiled: Option<&'static [u8]>,
}

impl Builtin {
    /// Loads the native code where there is any, else compiles the component.
    ///
    /// # Errors
    /// Where the engine's settings that affect code are not those of [`engine::compile_settings`], or compiling fails.
    pub fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        match self.precompiled {
            // SAFETY: wasmtime itself made these bytes while this crate was built, and they are in the program's
            // read-only data since; it checks version and settings.
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
