//! Plugins in their host and in the policy pipeline: what a guest can do to the gateway (nothing), and what its answers
//! lead to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states what it expects by them"
)]

mod bench;
mod guests;
mod pods;

mod attacks;
mod isolation;
mod load;
mod patterns;
mod pipeline;
mod prefetched;
mod remembered;
mod roles;
mod supply;
mod versions;
