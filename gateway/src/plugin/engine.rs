//! The only wasmtime engine: what guests may import, and the limits of their resources.

use std::{sync::Arc, thread, time::Duration};

use wasmtime::{
    Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{CompiledError, bindings::PolicyPlugin, call::CallState, compiled::CompiledFolder, threads::Threads};
use crate::config::{self, PLUGIN_MEMORY_MAX, PublicKey};

/// Time limits of guests are counted in ticks. A tick of 10 ms costs 0.34% of a core in an idle process, and limits are
/// precise to one tick.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Instances that may exist at a time, over all plugins. A decision holds at most one of each plugin.
pub(crate) const INSTANCES: u32 = 128;
/// Guests of componentize-py have 38 core instances; Rust guests have 3.
pub(super) const CORE_INSTANCES_EACH: u32 = 64;
/// QuickJS guests have 3 memories; Rust guests have 1.
pub(super) const MEMORIES_EACH: u32 = 4;
pub(super) const TABLES_EACH: u32 = 10;
/// SpiderMonkey guests ask for 7,689.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// The engine, the imports that a plugin may have, the plugin threads, and the requirements for plugin files.
#[derive(Clone)]
pub struct Host {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<CallState>>,
    threads: Arc<Threads>,
    /// Each plugin file needs a signature by one of these; without keys it needs none.
    pub(super) public_keys: Arc<[PublicKey]>,
    pub(super) compiled: Option<Arc<CompiledFolder>>,
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("the plugin engine cannot start: {0}")]
    Engine(#[from] wasmtime::Error),
    #[error("the plugin threads cannot start: {0}")]
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

    /// The same engine, with these settings for plugin files.
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
        // Measured: with PAGEMAP_SCAN it is cheaper to reset the pages that a guest touched than to return them to the
        // kernel; without it, dearer.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(4 << 10)
        .max_unused_warm_slots(16)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Starts the thread that ticks. It ends when the engine is dropped.
fn tick(engine: &Engine) {
    let engine = engine.weak();
    thread::spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            #[expect(
                clippy::disallowed_methods,
                reason = "this thread does nothing else, and real time is what it counts"
            )]
            thread::sleep(TICK);
        }
    });
}
