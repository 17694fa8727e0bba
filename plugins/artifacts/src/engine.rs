//! The engine settings that native code depends on. The build script compiles with them, and the gateway loads with
//! them.

use wasmtime::Config;

/// The most native stack that a guest may use, in bytes.
const MAX_WASM_STACK: usize = 512 << 10;
/// The stack of each call, in bytes, for the guest and the host functions that it calls.
const CALL_STACK: usize = 2 << 20;
/// The address space of one linear memory, in bytes. The default, 4 GiB, saves bounds checks, but a pool of it
/// exceeds a node's limit on address space. The checks cost about 4% of a call.
const MEMORY_RESERVATION: u64 = 64 << 20;
const MEMORY_GUARD: u64 = 64 << 10;

/// The settings of the engine that built-in plugins are compiled for. Any allocation strategy will do, because it does
/// not affect code.
///
/// Multi-memory stays on, because components with adapters need it.
#[must_use]
pub fn compile_settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_relaxed_simd(false)
        .wasm_simd(false)
        .wasm_tail_call(false)
        .wasm_memory64(false)
        .max_wasm_stack(MAX_WASM_STACK)
        .async_stack_size(CALL_STACK)
        .memory_init_cow(true)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_guard_size(MEMORY_GUARD)
        .memory_may_move(false);
    config
}
