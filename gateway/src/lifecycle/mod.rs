//! Start, stop and change of the process and its files.
//!
//! Readiness is ownership: a part that is not ready yet holds a token, and ready is when none is left.

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
