//! The one wasmtime engine: what guests may use, and how much of it there is.

use std::{sync::Arc, thread, time::Duration};

use wasmtime::{
    Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{CompiledError, bindings::PolicyPlugin, call::CallState, compiled::CompiledFolder, threads::Threads};
use crate::config::{self, PLUGIN_MEMORY_MAX, PublicKey};

/// Deadlines are counted in these. 10 ms costs 0.34% of a core on an idle process and is precise to one tick.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Instances that may live at one time, over all plugins. A decision holds at most one of each plugin.
pub(crate) const INSTANCES: u32 = 128;
/// componentize-py's guests have 38 core instances; Rust's have 3.
pub(super) const CORE_INSTANCES_EACH: u32 = 64;
/// QuickJS's guests have 3 memories; Rust's have 1.
pub(super) const MEMORIES_EACH: u32 = 4;
pub(super) const TABLES_EACH: u32 = 10;
/// SpiderMonkey's guests ask for 7,689.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// An engine, the imports that a plugin may have, the threads that plugins run on, and what a plugin's file must be.
#[derive(Clone)]
pub struct Host {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<CallState>>,
    threads: Arc<Threads>,
    /// Whose signature each plugin's file needs; nobody's where there are none.
    pub(super) public_keys: Arc<[PublicKey]>,
    pub(super) compiled: Option<Arc<CompiledFolder>>,
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("the plugin engine cannot start: {0}")]
    Engine(#[from] wasmtime::Error),
    #[error("the plugins' threads cannot start: {0}")]
    Threads(#[from] std::io::Error),
}

impl Host {
    pub fn new() -> Result<Self, HostError> {
        let mut config = metagate_plugin_artifacts::engine::compile_settings();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        PolicyPlugin::add_to_linker::<_, HasSelf<CallState>>(&mut linker, |state| state)?;
        tick(&engine);
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            threads: Arc::new(Threads::start()?),
            public_keys: Arc::default(),
            compiled: None,
        })
    }

    pub(crate) fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The same engine, for files of which this holds.
    pub fn with_files(&self, settings: &config::PluginFiles) -> Result<Self, CompiledError> {
        let compiled = match &settings.compiled {
            Some(compiled) => CompiledFolder::open(compiled, &self.engine)?.map(Arc::new),
            None => None,
        };
        Ok(Self { public_keys: settings.public_keys.clone().into(), compiled, ..self.clone() })
    }
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * CORE_INSTANCES_EACH)
        .total_memories(INSTANCES * MEMORIES_EACH)
        .total_tables(INSTANCES * TABLES_EACH)
        .total_stacks(INSTANCES)
        .max_core_instances_per_component(CORE_INSTANCES_EACH)
        .max_memories_per_component(MEMORIES_EACH)
        .max_tables_per_component(TABLES_EACH)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .max_memory_size(PLUGIN_MEMORY_MAX)
        // Measured: with PAGEMAP_SCAN, resetting what a guest touched is cheaper than giving it back; without, dearer.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(4 << 10)
        .max_unused_warm_slots(16)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Ends by itself once the engine is gone.
fn tick(engine: &Engine) {
    let engine = engine.weak();
    thread::spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    });
}
