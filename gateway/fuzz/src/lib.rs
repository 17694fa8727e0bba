//! Random components and random answers for the plugin host.
//!
//! A target takes any bytes and comes back, or panics where a promise is broken: that nothing of a guest ends or stalls the
//! gateway, that what is let through is within the bounds of the interface and of AWS, and that other plugins answer as
//! before. `make fuzz` has libFuzzer choose the bytes, `cargo test` a seeded generator.

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
