//! How many connections there are, and how many of them and of requests one address may have.

mod connections;
mod rate;

pub use connections::{ConnectionLimiter, ConnectionPermit, Limits};
pub use rate::Rate;
