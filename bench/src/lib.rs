//! What the benches and the load measure, and what they share.

pub mod crowd;
#[cfg(feature = "studies")]
pub mod fleet;
#[cfg(feature = "studies")]
pub mod grants;
pub mod node;
#[cfg(feature = "studies")]
pub mod plot;
#[cfg(feature = "studies")]
pub mod scale;
pub mod threads;

pub use node::Node;
