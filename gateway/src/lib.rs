//! Metagate: each Kubernetes pod its own AWS credentials.
//!
//! The modules are listed in reading order: start, the life of a request, the background path, and what both stand on.

pub mod app;
pub mod config;

// The life of a request.
pub mod listen;
pub mod connection;
pub mod handle;
pub mod dialect;
pub mod session;
pub mod caller;
pub mod policy;
pub mod plugin;
pub mod credential;
pub mod relay;
pub mod refusal;

// Behind it: who runs here, what they will need, and where it comes from.
pub mod roster;
pub mod cluster;
pub mod discovery;
pub mod prefetch;
pub mod source;

// How pods come to it.
pub mod intercept;

// For those who look on, and those who come from elsewhere.
pub mod admin;
pub mod authoring;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod migrate;
pub mod telemetry;

// Nouns and ground.
pub mod catalogue;
pub mod clock;
pub mod key_file;
pub mod lifecycle;
pub mod role;
pub mod workload;
