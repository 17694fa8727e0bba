//! Load on a metadata gateway, from outside: callers with addresses of their own, in a process of their own.

pub mod bare;
pub mod budget;
pub mod client;
pub mod compare;
pub mod flow;
pub mod memory;
pub mod report;
pub mod round;
pub mod server;
