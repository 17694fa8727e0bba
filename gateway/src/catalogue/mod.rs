//! The paths of the instance metadata service, and which of them an operator allows.
//!
//! Configuration parses `imds.allow` with it; requests, listings and `explain` resolve paths with it. It is pure: it
//! never asks the node.

mod allow;
mod entry;
mod names;
mod path;
mod resolve;
mod table;
mod wildcard;

pub use allow::{AllowError, AllowErrorKind, AllowList, DEFAULT};
pub use entry::{Catalogue, Entry, Listing, NodeListing};
pub use path::{CanonicalPath, PathError};
pub use resolve::{Directory, Own, Resolved};

pub(crate) use names::known_names;
pub(crate) use table::Freshness;
