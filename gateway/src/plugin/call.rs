//! One instance of a plugin, for one decision.

use std::time::Duration;

use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};

use super::{
    Host, PluginError, PluginErrorKind, Resolution, Verdict,
    bindings::{self, PolicyPlugin, PolicyPluginPre, host, types},
    component::one_line,
    convert,
    engine::{CORE_INSTANCES_EACH, MEMORIES_EACH, TABLE_ELEMENTS, TABLES_EACH, TICK},
};
use crate::{config, interest::Interest};

/// How many bytes a guest may pass to the host in one call. wasmtime's default is 128 MiB.
const COPIED_MAX: usize = 256 << 10;
const LOG_LINES: usize = 64;
const LOG_BYTES: usize = 16 << 10;
/// The time limit of the first `init`, at load: it may do more than a decision, since JavaScript and Python start their
/// runtimes in it.
const FIRST_INIT: Duration = Duration::from_secs(2);

pub struct Instance {
    store: Store<CallState>,
    guest: PolicyPlugin,
    timeout: Duration,
}

/// Why the first instance did not give the plugin's interest.
pub(super) enum InterestError {
    /// Its functions do not have the interface's types.
    World(wasmtime::Error),
    Fault(PluginError),
}

/// The host's state for one instance.
pub(super) struct CallState {
    plugin: String,
    limits: Limits,
    ticks_left: u64,
    log_lines: usize,
    log_bytes: usize,
}

impl Instance {
    /// Starts the instance that gives the plugin's interest at load.
    pub(super) async fn first(
        host: &Host,
        pre: &PolicyPluginPre<CallState>,
        settings: &config::Plugin,
        config_json: &str,
    ) -> Result<Interest, InterestError> {
        let mut store = store(host, settings, FIRST_INIT);
        let started = pre.instance_pre().instantiate_async(&mut store).await;
        let started = started.map_err(|error| InterestError::Fault(fault(&settings.name, &error)))?;
        // Linking compared names; only this compares types.
        let guest = PolicyPlugin::new(&mut store, &started).map_err(InterestError::World)?;
        let mut first = Self { store, guest, timeout: settings.timeout };
        let interest = first.init(config_json).await.map_err(InterestError::Fault)?;
        convert::interest(interest).map_err(|detail| InterestError::Fault(first.invalid_answer(detail)))
    }

    pub(super) async fn fresh(
        host: &Host,
        pre: &PolicyPluginPre<CallState>,
        settings: &config::Plugin,
        config_json: &str,
    ) -> Result<Self, PluginError> {
        let mut store = store(host, settings, settings.timeout);
        let guest = pre.instantiate_async(&mut store).await.map_err(|error| fault(&settings.name, &error))?;
        let mut instance = Self { store, guest, timeout: settings.timeout };
        // The interest is known from the first instance.
        instance.init(config_json).await?;
        Ok(instance)
    }

    /// Runs within the remaining time of the start.
    async fn init(&mut self, config_json: &str) -> Result<bindings::Interest, PluginError> {
        let answer = self.guest.metagate_policy_plugin().call_init(&mut self.store, config_json).await;
        self.answered(answer)
    }

    pub async fn resolve(&mut self, workload: &types::Workload) -> Result<Resolution, PluginError> {
        self.store.data_mut().allow(self.timeout);
        let answer = self.guest.metagate_policy_plugin().call_resolve(&mut self.store, workload).await;
        convert::resolution(self.answered(answer)?).map_err(|detail| self.invalid_answer(detail))
    }

    pub async fn authorize(&mut self, workload: &types::Workload, role: &types::Role) -> Result<Verdict, PluginError> {
        self.store.data_mut().allow(self.timeout);
        let answer = self.guest.metagate_policy_plugin().call_authorize(&mut self.store, workload, role).await;
        convert::verdict(self.answered(answer)?).map_err(|detail| self.invalid_answer(detail))
    }

    pub async fn authorize_path(&mut self, workload: &types::Workload, path: &str) -> Result<Verdict, PluginError> {
        self.store.data_mut().allow(self.timeout);
        let answer = self.guest.metagate_policy_plugin().call_authorize_path(&mut self.store, workload, path).await;
        convert::verdict(self.answered(answer)?).map_err(|detail| self.invalid_answer(detail))
    }

    /// The bytes of linear memory that it holds.
    pub fn memory(&self) -> usize {
        let Limits { memory, memory_left } = self.store.data().limits;
        memory.saturating_sub(memory_left)
    }

    fn answered<T>(&self, answer: wasmtime::Result<Result<T, String>>) -> Result<T, PluginError> {
        let plugin = &self.store.data().plugin;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(message)) => Err(PluginError {
                plugin: plugin.clone(),
                kind: PluginErrorKind::Error,
                detail: convert::printable(&message),
            }),
            Err(error) => Err(fault(plugin, &error)),
        }
    }

    fn invalid_answer(&self, detail: String) -> PluginError {
        PluginError { plugin: self.store.data().plugin.clone(), kind: PluginErrorKind::Answer, detail }
    }
}

/// A store whose first call must end within `start_within`.
fn store(host: &Host, settings: &config::Plugin, start_within: Duration) -> Store<CallState> {
    let limits = Limits { memory: settings.memory, memory_left: settings.memory };
    let plugin = settings.name.clone();
    let mut store = Store::new(
        &host.engine,
        CallState { plugin, limits, ticks_left: 0, log_lines: LOG_LINES, log_bytes: LOG_BYTES },
    );
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(COPIED_MAX);
    store.set_epoch_deadline(1);
    // At each tick the guest yields its thread, so that a guest that spins starves nobody.
    store.epoch_deadline_callback(|mut context| {
        let state = context.data_mut();
        match state.ticks_left.checked_sub(1) {
            None => Ok(UpdateDeadline::Interrupt),
            Some(left) => {
                state.ticks_left = left;
                Ok(UpdateDeadline::Yield(1))
            }
        }
    });
    store.data_mut().allow(start_within);
    store
}

impl CallState {
    /// Starts a call's own budget of time and log.
    fn allow(&mut self, time: Duration) {
        self.ticks_left = u64::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX);
        self.log_lines = LOG_LINES;
        self.log_bytes = LOG_BYTES;
    }
}

/// The memory limit of one instance. wasmtime's own limits count each memory separately, but a component may have
/// several.
struct Limits {
    memory: usize,
    memory_left: usize,
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let left = self.memory_left.checked_sub(desired.saturating_sub(current));
        self.memory_left = left.unwrap_or(self.memory_left);
        Ok(left.is_some())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_EACH as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_EACH as usize
    }

    fn tables(&self) -> usize {
        TABLES_EACH as usize
    }
}

impl types::Host for CallState {}

impl host::Host for CallState {
    fn log(&mut self, level: host::Level, message: String) {
        let (Some(lines), Some(bytes)) = (self.log_lines.checked_sub(1), self.log_bytes.checked_sub(message.len()))
        else {
            self.log_lines = 0;
            return;
        };
        (self.log_lines, self.log_bytes) = (lines, bytes);
        let (plugin, message) = (self.plugin.as_str(), convert::printable(&message));
        match level {
            host::Level::Trace => tracing::trace!(target: "metagate::plugin", plugin, "{message}"),
            host::Level::Debug => tracing::debug!(target: "metagate::plugin", plugin, "{message}"),
            host::Level::Info => tracing::info!(target: "metagate::plugin", plugin, "{message}"),
            host::Level::Warn => tracing::warn!(target: "metagate::plugin", plugin, "{message}"),
            host::Level::Error => tracing::error!(target: "metagate::plugin", plugin, "{message}"),
        }
    }
}

fn fault(plugin: &str, error: &wasmtime::Error) -> PluginError {
    let kind = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PluginErrorKind::Timeout,
        Some(_) => PluginErrorKind::Trap,
        None if error.is::<wasmtime::PoolConcurrencyLimitError>() => PluginErrorKind::Exhausted,
        None => PluginErrorKind::Trap,
    };
    PluginError { plugin: plugin.to_owned(), kind, detail: one_line(error) }
}
