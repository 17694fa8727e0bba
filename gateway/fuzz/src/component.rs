//! Random components: guests with a few wrong bytes, components that wasm-smith makes up, and any bytes at all.

use arbitrary::{Arbitrary, Result, Unstructured};
use metagate_plugin_artifacts::{
    BUILTINS, EXAMPLE_TRUSTED_ADMIN,
    testing::{FOREIGN_IMPORT, HOSTILE, WANTS_WASI, WRONG_WORLD},
};
use wasm_smith::{Component, Config, Module};

use crate::{guest, trial};

/// These targets do not bound the time to compile, and a crafted 100 KiB takes seconds: the host gets only components
/// of this length, unless they are guests of ours.
const MADE_UP_MAX: usize = 32 << 10;

pub fn component(input: &[u8]) {
    // It fails only if the input is too short.
    if let Ok(Some(component)) = made(Unstructured::new(input)) {
        trial::put(&component);
    }
}

/// None if the bytes are certainly no component.
fn made(mut input: Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    let made_up = match input.int_in_range(0..=15)? {
        0 => Some(input.take_rest().to_vec()),
        1..=7 => return guest_with_edits(input).map(Some),
        8..=10 => Some(Component::new(config(&mut input, None)?, &mut input)?.to_bytes()),
        _ => of_our_world(input)?,
    };
    Ok(made_up.filter(|component| component.len() <= MADE_UP_MAX))
}

/// Mostly a small guest: a large one that is still valid takes a development build a second to compile.
fn guest_with_edits(mut input: Unstructured<'_>) -> Result<Vec<u8>> {
    let large = [
        BUILTINS[0].wasm,
        BUILTINS[1].wasm,
        BUILTINS[2].wasm,
        EXAMPLE_TRUSTED_ADMIN,
        HOSTILE,
        FOREIGN_IMPORT,
        WANTS_WASI,
    ];
    let mut wasm = match input.int_in_range(0..=31)? {
        0 => input.choose(&large)?.to_vec(),
        1..=6 => WRONG_WORLD.to_vec(),
        _ => guest::with_memory(&[]),
    };
    for _ in 0..input.int_in_range(1..=6)? {
        edit(&mut wasm, &mut input)?;
    }
    Ok(wasm)
}

fn edit(wasm: &mut Vec<u8>, input: &mut Unstructured<'_>) -> Result<()> {
    let Some(last) = wasm.len().checked_sub(1) else { return Ok(()) };
    let at = input.int_in_range(0..=last)?;
    let until = (at + input.int_in_range(0..=64)?).min(wasm.len());
    match input.int_in_range(0..=7)? {
        0..=2 => wasm[at] = input.arbitrary()?,
        3 => wasm[at] ^= 1 << input.int_in_range(0..=7)?,
        4 => drop(wasm.drain(at..until)),
        5 => drop(wasm.splice(at..at, input.arbitrary::<[u8; 4]>()?)),
        6 => {
            let copied = wasm[at..until].to_vec();
            let to = input.int_in_range(0..=last)?;
            drop(wasm.splice(to..to, copied));
        }
        _ => wasm.truncate(at),
    }
    Ok(())
}

/// Random code behind exactly the imports and exports that the host looks for.
fn of_our_world(mut input: Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    let config = config(&mut input, Some(guest::module().finish()))?;
    let mut module = Module::new(config, &mut input)?;
    // Without it most of them would loop forever and be interrupted, which other tests show.
    let _ = module.ensure_termination(10_000);
    Ok(guest::component(module.to_bytes()))
}

/// Mostly the features that the engine enables.
fn config(input: &mut Unstructured<'_>, module_shape: Option<Vec<u8>>) -> Result<Config> {
    let any = Config::arbitrary(input)?;
    let exotic = input.ratio(1, 8)?;
    Ok(Config {
        module_shape,
        allow_invalid_funcs: false,
        exceptions_enabled: exotic,
        gc_enabled: exotic,
        memory64_enabled: exotic,
        relaxed_simd_enabled: exotic,
        simd_enabled: exotic,
        tail_call_enabled: exotic,
        threads_enabled: exotic,
        wide_arithmetic_enabled: exotic,
        ..any
    })
}
