//! A node in network namespaces of its own: root, and what `make e2e` installs.

#![allow(
    clippy::disallowed_methods,
    reason = "threads and time are those of other programs, which no paused clock moves"
)]

mod e2e;
mod intercept;
