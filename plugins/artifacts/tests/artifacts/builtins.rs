//! The embedded components load in an engine like the gateway's.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test states what it expects by them")]

use metagate_plugin_artifacts::{BUILTINS, EXAMPLE_TRUSTED_ADMIN, builtin, engine};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

fn pooling_engine() -> Engine {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(4).total_memories(8).total_tables(16).total_stacks(4).max_memory_size(64 << 20);
    let mut settings = engine::compile_settings();
    settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&settings).unwrap()
}

/// Starts a component as the gateway does, with all imports as traps.
fn instantiate(engine: &Engine, component: &Component) {
    let mut linker = Linker::<()>::new(engine);
    linker.define_unknown_imports_as_traps(component).unwrap();
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    linker.instantiate(&mut store, component).unwrap();
}

#[test]
fn every_builtin_is_found_by_its_name() {
    let names: Vec<_> = BUILTINS.iter().map(|builtin| builtin.name).collect();
    assert_eq!(names, ["annotations", "irsa-fallback", "namespace-regex"]);
    for name in names {
        assert_eq!(builtin(name).map(|builtin| builtin.name), Some(name));
    }
    assert_eq!(builtin("office-hours"), None);
}

#[test]
fn the_precompiled_builtins_start_in_a_pooling_engine() {
    let engine = pooling_engine();
    for builtin in BUILTINS {
        assert!(builtin.precompiled.is_some(), "{}", builtin.name);
        instantiate(&engine, &builtin.load(&engine).unwrap());
    }
}

#[test]
fn the_example_starts_in_a_pooling_engine() {
    let engine = pooling_engine();
    instantiate(&engine, &Component::new(&engine, EXAMPLE_TRUSTED_ADMIN).unwrap());
}

/// Calls `init`; an error is its text.
fn init(engine: &Engine, component: &Component, config_json: &str) -> Result<(), String> {
    let mut linker = Linker::<()>::new(engine);
    linker.define_unknown_imports_as_traps(component).unwrap();
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = linker.instantiate(&mut store, component).unwrap();
    let plugin = instance.get_export_index(&mut store, None, "metagate:policy/plugin@0.1.0").unwrap();
    let init = instance.get_export_index(&mut store, Some(&plugin), "init").unwrap();
    let init = instance.get_func(&mut store, init).unwrap();
    let mut answer = [Val::Bool(false)];
    init.call(&mut store, &[Val::String(config_json.to_owned())], &mut answer).unwrap();
    match answer {
        [Val::Result(Ok(Some(interest)))] if matches!(*interest, Val::Record(_)) => Ok(()),
        [Val::Result(Err(Some(message)))] => match *message {
            Val::String(message) => Err(message),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_builtin_runs_on_its_defaults_and_names_an_unknown_key() {
    let engine = pooling_engine();
    for builtin in BUILTINS {
        let component = builtin.load(&engine).unwrap();
        assert_eq!(init(&engine, &component, "{}"), Ok(()), "{}", builtin.name);
        let error = init(&engine, &component, r#"{"colour":1}"#).unwrap_err();
        assert!(error.contains("unknown field `colour`"), "{}: {error}", builtin.name);
    }
}

#[test]
fn an_engine_of_other_settings_refuses_the_native_code() {
    let mut settings = engine::compile_settings();
    settings.epoch_interruption(false);
    let engine = Engine::new(&settings).unwrap();
    assert!(BUILTINS.iter().all(|builtin| builtin.load(&engine).is_err()));
}

#[test]
fn a_builtin_imports_nothing_but_the_gateways_log() {
    let engine = pooling_engine();
    for builtin in BUILTINS {
        let component = builtin.load(&engine).unwrap();
        let imports: Vec<_> = component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect();
        assert!(imports.iter().all(|name| name.starts_with("metagate:policy/")), "{}: {imports:?}", builtin.name);
    }
}

#[test]
fn no_machines_path_is_in_a_component() {
    for bytes in BUILTINS.iter().map(|builtin| builtin.wasm).chain([EXAMPLE_TRUSTED_ADMIN]) {
        for path in [env!("CARGO_MANIFEST_DIR"), "/home/", "/root/", "/Users/", ".cargo/", ".rustup/"] {
            assert!(!bytes.windows(path.len()).any(|window| window == path.as_bytes()), "{path}");
        }
    }
}
