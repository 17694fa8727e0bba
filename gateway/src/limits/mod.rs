//! Limits on connections, in total and per address, and on requests per address.

mod connections;
mod rate;

pub use connections::{ConnectionLimiter, ConnectionPermit, Limits};
pub use rate::Rate;
