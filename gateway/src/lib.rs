//! Metagate gives each Kubernetes pod its own AWS credentials.
//!
//! The order of the modules is the order of dependence: a module uses only those below it. `tests/gateway/order.rs`
//! fails on a dependence that points up.

// Tools for operators and plugin authors.
pub mod migrate;
pub mod authoring;
pub mod doctor;

// Wiring: builds every part, binds, starts, stops.
pub mod app;

// What an operator sees of a running gateway.
pub mod admin;
pub mod explain;

// The path of a request.
pub mod listen;
pub mod connection;
pub mod handle;
pub mod dialect;

// Ahead of requests: prefetch of credentials, and discovery of the node's account and region.
pub mod prefetch;
pub mod discovery;

// Reports: records and metrics, Events, remedies and refusals.
pub mod telemetry;
pub mod events;
pub mod remedy;
pub mod refusal;

// The caller, its session and its limits.
pub mod session;
pub mod caller;
pub mod limits;
pub mod roster;

// Credentials and their sources, and the rest of the metadata service.
pub mod source;
pub mod credential;
pub mod relay;

// Policy decisions.
pub mod policy;
pub mod plugin;

// The node and its cluster.
pub mod kubernetes;
pub mod intercept;
pub mod lifecycle;

// Foundations: the configuration, and the types that everything else uses.
pub mod config;
pub mod catalogue;
pub mod credential_key;
pub mod role;
pub mod workload;
pub mod interest;
pub mod pairs;
pub mod request_id;
pub mod key_file;
pub mod clock;
