//! Random components and random answers for the plugin host.
//!
//! A target takes any bytes and returns, or panics if a promise is broken: nothing that a guest does ends or stalls the
//! gateway, what the host lets through is within the bounds of the interface and of AWS, and other plugins answer as
//! before. With `make fuzz` libFuzzer chooses the bytes, with `cargo test` a seeded generator.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target states what it expects by them"
)]

mod answer;
mod bounds;
mod component;
mod guest;
mod memory;
mod trial;

pub use answer::answer;
pub use component::component;
