//! The interface of the service that the relay reads from.

use std::pin::Pin;

use super::{Document, RelayError};
use crate::catalogue::Entry;

/// Each call is one read: no cache, and no retries beyond the upstream's own deadline, as the relay decides how often
/// to ask.
pub trait Upstream: Send + Sync + 'static {
    /// Answers within a bounded time. A path with a trailing slash asks for that directory's listing.
    fn read<'a>(&'a self, entry: &'a Entry) -> Read<'a>;
}

pub type Read<'a> = Pin<Box<dyn Future<Output = Result<Document, RelayError>> + Send + 'a>>;
