//! Start, stop and change of the process and its files.
//!
//! Readiness is ownership: each part that is not ready holds a token, and the process is ready when no token is left.

mod adopted;
mod files;
mod folders;
mod follow;
mod ready;
mod signal;

pub use adopted::{Adopted, Configuration, RejectedReload};
pub use files::FollowedFiles;
pub use follow::Followed;
pub use ready::{Part, Readiness, UnknownPart, Waiting};
pub use signal::Signals;
