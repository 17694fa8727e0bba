//! Fakes with behaviour, for Metagate's own tests and benches.

pub mod api_server;
pub mod client;
pub mod collector;
pub mod gateway;
pub mod imds;
pub mod source;

pub use api_server::ApiServer;
pub use client::{Client, Reply};
pub use collector::Collector;
pub use gateway::{Setup, TestGateway};
pub use imds::FakeImds;
pub use source::FakeSource;
