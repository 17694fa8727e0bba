//! Generated from the interface; nothing else lives here, and nothing outside `plugin` sees it.

wasmtime::component::bindgen!({
    path: "../plugin-sdk/wit",
    world: "policy-plugin",
    exports: { default: async },
});

pub(super) use self::metagate::policy::{host, types};
pub(super) use exports::metagate::policy::plugin::Interest;
