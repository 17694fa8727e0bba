//! Who is asked for what the relay does not hold.

use std::pin::Pin;

use super::{Document, RelayError};
use crate::catalogue::Entry;

/// One read, no cache and no patience beyond the upstream's own deadline: how often to ask is the relay's business.
pub trait Upstream: Send + Sync + 'static {
    /// Answers within a bounded time. A path with a trailing slash asks for that directory's listing.
    fn read<'a>(&'a self, entry: &'a Entry) -> Read<'a>;
}

pub type Read<'a> = Pin<Box<dyn Future<Output = Result<Document, RelayError>> + Send + 'a>>;
