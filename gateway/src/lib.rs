//! Metagate: each Kubernetes pod its own AWS credentials.
//!
//! The order of the modules is the order of dependence: a module uses only those below it. `tests/gateway/order.rs` fails on
//! an arrow that runs up.

// Tools for operators and plugin authors.
pub mod migrate;
pub mod authoring;
pub mod doctor;

// Wiring: builds every part, binds, starts, stops.
pub mod app;

// Looking on: what an operator sees of a running gateway.
pub mod admin;
pub mod explain;

// The way of a request.
pub mod listen;
pub mod connection;
pub mod handle;
pub mod dialect;

// Ahead of requests: whose credentials will be needed, and what the node says of itself.
pub mod prefetch;
pub mod discovery;

// Saying: records and metrics, Events, and every way to say no.
pub mod telemetry;
pub mod events;
pub mod remedy;
pub mod refusal;

// Who asks.
pub mod session;
pub mod caller;
pub mod limits;
pub mod roster;

// Having: credentials and where they come from, and the rest of the metadata service.
pub mod source;
pub mod credential;
pub mod relay;

// Deciding.
pub mod policy;
pub mod plugin;

// The node and its cluster.
pub mod kubernetes;
pub mod intercept;
pub mod lifecycle;

// Ground: what is asked for, and the nouns that everything else is said in.
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
