//! Runs each target on inputs of a seeded generator. A failure prints its seed; `METAGATE_FUZZ_SEED` runs only that
//! one.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test states what it expects by unwrapping")]

use std::{env, thread};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

#[test]
fn no_component_harms_the_host() {
    on_random_inputs(metagate_fuzz::component, 400);
}

#[test]
fn no_answer_harms_the_host_or_leaves_its_bounds() {
    on_random_inputs(metagate_fuzz::answer, 400);
}

fn on_random_inputs(target: fn(&[u8]), count: u64) {
    let seeds = match env::var("METAGATE_FUZZ_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..count).map(|_| rand::random()).collect(),
    };
    for seed in seeds {
        let _seed = SeedOnPanic(seed);
        target(&input(seed));
    }
}

fn input(seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut input = vec![0; random.random_range(0..4096)];
    random.fill_bytes(&mut input);
    input
}

/// Names the seed when its input's run ends in a panic.
struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with METAGATE_FUZZ_SEED={}", self.0);
        }
    }
}
