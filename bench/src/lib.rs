//! What benches and load are run against.

pub mod crowd;
pub mod fleet;
pub mod grants;
pub mod node;
pub mod plot;
pub mod scale;
pub mod threads;

pub use node::Node;
