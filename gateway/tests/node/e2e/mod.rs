//! Metagate on a node: a real API server, network namespaces as node and pods, the AWS CLI inside the pods.
//!
//! `make e2e` installs what this needs and runs it, as root. Every test has a node of its own, with everything on it, so
//! they share no address, port, name or file. Nothing leaves the namespaces that a test makes.

// clippy.toml's exemptions for tests apply only to code that is marked as a test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod addresses;
mod api;
mod changes;
mod cluster;
mod doctor;
mod events;
mod gateway;
mod lab;
mod manifests;
mod namespace;
mod node;
mod outages;
mod pod;
#[path = "../../clients/process.rs"]
mod process;
mod programs;
mod prometheus;
mod size;
mod smoke;
mod socket;
mod wait;
