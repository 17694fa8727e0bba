//! Generated from the interface. Nothing else is in this module, and nothing outside `plugin` uses it.

wasmtime::component::bindgen!({
    path: "../plugin-sdk/wit",
    world: "policy-plugin",
    exports: { default: async },
});

pub(super) use self::metagate::policy::{host, types};
pub(super) use exports::metagate::policy::plugin::Interest;
