//! What benches and load are run against.

pub mod crowd;
pub mod load;
pub mod node;
pub mod pairs;
pub mod threads;

pub use node::Node;
