//! What the instance metadata service has: its paths, what stands at each, and which of them an operator allows.
//!
//! Pure, and at the ground: configuration parses `imds.allow` with it, and requests, listings and `explain` resolve paths
//! with it. Nothing here asks the node.

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
