//! What mends a failure.

mod rejection;

pub use rejection::NextStep;
pub(crate) use rejection::{of_decision, of_source};
