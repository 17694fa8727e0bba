//! The test guests have the imports and exports that their names promise.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test states what it expects by it")]

use metagate_plugin_artifacts::engine;
use metagate_plugin_artifacts::testing::{
    FOREIGN_IMPORT, FROZEN, HOSTILE, NEWER_MINOR, NEWER_MINOR_CALLS, NEXT_MAJOR, WANTS_WASI, WRONG_TYPES, WRONG_WORLD,
};
use wasmtime::Engine;
use wasmtime::component::Component;

fn names(wasm: &[u8]) -> (Vec<String>, Vec<String>) {
    let engine = Engine::new(&engine::compile_settings()).unwrap();
    let component = Component::new(&engine, wasm).unwrap();
    let world = component.component_type();
    let imports = world.imports(&engine).map(|(name, _)| name.to_owned()).collect();
    let exports = world.exports(&engine).map(|(name, _)| name.to_owned()).collect();
    (imports, exports)
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|found| found == name)
}

const PLUGIN: &str = "metagate:policy/plugin@0.1.0";

#[test]
fn the_hostile_guest_is_a_policy_like_any_other() {
    let (imports, exports) = names(HOSTILE);
    assert!(imports.iter().all(|name| name.starts_with("metagate:policy/")), "{imports:?}");
    assert!(has(&exports, PLUGIN), "{exports:?}");
}

#[test]
fn the_wrong_world_has_no_policy() {
    let (_, exports) = names(WRONG_WORLD);
    assert!(!has(&exports, PLUGIN), "{exports:?}");
}

#[test]
fn the_other_two_are_policies_with_one_import_too_many() {
    for (wasm, import) in [(FOREIGN_IMPORT, "evil:io/files@0.1.0"), (WANTS_WASI, "wasi:cli/environment@0.2.6")] {
        let (imports, exports) = names(wasm);
        assert!(has(&imports, import) && has(&exports, PLUGIN), "{imports:?} {exports:?}");
    }
}

#[test]
fn guests_of_other_versions_say_so_in_what_they_export() {
    for (wasm, plugin) in [
        (FROZEN, PLUGIN),
        (WRONG_TYPES, PLUGIN),
        (NEWER_MINOR, "metagate:policy/plugin@0.1.999"),
        (NEWER_MINOR_CALLS, "metagate:policy/plugin@0.1.999"),
        (NEXT_MAJOR, "metagate:policy/plugin@0.2.0"),
    ] {
        let (_, exports) = names(wasm);
        assert!(has(&exports, plugin), "{exports:?}");
    }
}
