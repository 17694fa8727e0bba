//! Plugins in JavaScript and Python: what a new project's own commands build decides in the gateway, and hostile guests
//! in those runtimes harm nothing else.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states what it expects by them")]

mod attacks;
mod gateway;
mod projects;
mod toolchains;
