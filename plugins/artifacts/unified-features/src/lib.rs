//! This crate consists only of its dependencies: see Cargo.toml.
