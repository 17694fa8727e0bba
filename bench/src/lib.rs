//! What the benches and the load measure, and what they share.

pub mod crowd;
pub mod fleet;
pub mod grants;
pub mod node;
pub mod plot;
pub mod scale;
pub mod threads;

pub use node::Node;
