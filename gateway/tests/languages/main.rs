//! Plugins in JavaScript and Python: what a new project's own commands build decides in the gateway, and what those runtimes
//! can do that is hostile ends there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states what it expects by them")]

mod attacks;
mod gateway;
mod projects;
mod toolchains;
