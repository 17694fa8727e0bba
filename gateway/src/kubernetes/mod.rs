//! The API server: how it is reached, and what the gateway writes there.

mod client;
pub mod events;
mod taint;

pub use client::{Cluster, ClusterError};
pub use taint::remove_when_ready;
