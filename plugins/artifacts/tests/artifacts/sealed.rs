//! Which sealed native code is loaded, and which is refused.
#![expect(clippy::unwrap_used, reason = "a test states what it expects by them")]

use metagate_plugin_artifacts::engine;
use metagate_plugin_artifacts::sealed::{Seal, SealError};
use wasmtime::{Engine, component::Component};

/// An empty component, and a made-up digest for it.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
const DIGEST: [u8; 32] = [7; 32];
const KEY: [u8; 32] = [1; 32];

fn sealed(engine: &Engine) -> (Seal, Vec<u8>) {
    let seal = Seal::new(engine, &KEY);
    let entry = seal.seal(&DIGEST, &Component::new(engine, EMPTY).unwrap()).unwrap();
    (seal, entry)
}

fn usual() -> Engine {
    Engine::new(&engine::compile_settings()).unwrap()
}

#[test]
fn what_was_sealed_opens_in_another_process_of_this_version() {
    let (_, entry) = sealed(&usual());
    assert!(Seal::new(&usual(), &KEY).open(&DIGEST, &entry).is_ok());
}

#[test]
fn no_flipped_bit_of_an_entry_opens() {
    let (seal, mut entry) = sealed(&usual());
    // All bits before the code, and every 97th bit of the code: 97 is a prime, so every bit of a byte is tested.
    let code = 16 + 32 + 32 + 32;
    for bit in (0..8 * code).chain((8 * code..8 * entry.len()).step_by(97)) {
        entry[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(seal.open(&DIGEST, &entry), Err(SealError::Broken)), "bit {bit}");
        entry[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(seal.open(&DIGEST, &entry).is_ok());
}

#[test]
fn no_part_of_an_entry_opens_and_none_with_more_after_it() {
    let (seal, mut entry) = sealed(&usual());
    for length in (0..200).chain([entry.len() - 1]) {
        assert!(matches!(seal.open(&DIGEST, &entry[..length]), Err(SealError::Broken)), "{length} bytes");
    }
    entry.push(0);
    assert!(matches!(seal.open(&DIGEST, &entry), Err(SealError::Broken)));
}

#[test]
fn an_entry_opens_as_no_other_component_and_under_no_other_key() {
    let (seal, entry) = sealed(&usual());
    assert!(matches!(seal.open(&[8; 32], &entry), Err(SealError::Other)));
    assert!(matches!(Seal::new(&usual(), &[2; 32]).open(&DIGEST, &entry), Err(SealError::Broken)));
}

#[test]
fn an_entry_opens_in_no_engine_of_other_settings() {
    let mut settings = engine::compile_settings();
    settings.epoch_interruption(false);
    let other = Engine::new(&settings).unwrap();
    let (seal, entry) = sealed(&usual());
    let elsewhere = Seal::new(&other, &KEY);
    assert_ne!(seal.maker(), elsewhere.maker());
    assert!(matches!(elsewhere.open(&DIGEST, &entry), Err(SealError::Other)));
}
