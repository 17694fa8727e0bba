//! How long an answer of the node's metadata service is cached.

use std::time::Duration;

use tokio::time::Instant;

use super::{Document, RelayError};
use crate::catalogue::Freshness;

/// Absence can end at any time (a tag is set, an address is associated), so it is cached for less time.
const ABSENT_FOR: Duration = Duration::from_secs(10);
/// A failing service is asked for the same document once in this time at most.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// A spot interruption notice comes two minutes ahead and pollers look every five seconds (EC2 User Guide, "Spot
/// Instance interruption notices"); this adds little to that. The absence of a notice is cached as long.
const URGENT_FOR: Duration = Duration::from_secs(2);
/// A stale document is served for up to this many times its life while the node fails.
const STALE_TIMES: u32 = 10;

/// How long one entry's answers are cached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    document: Duration,
    absence: Duration,
    /// How long a document may be served stale. Zero for a warning: a stale one is worse than none.
    stale: Duration,
}

/// The last answer, and the last document in case the answer was a failure.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    answer: Result<Document, RelayError>,
    at: Instant,
    document: Option<(Document, Instant)>,
}

impl Lives {
    pub(super) fn new(freshness: Freshness, ttl: Duration) -> Self {
        match freshness {
            Freshness::Steady => Self { document: ttl, absence: ttl.min(ABSENT_FOR), stale: Self::longest(ttl) },
            Freshness::Urgent => {
                let life = ttl.min(URGENT_FOR);
                Self { document: life, absence: life, stale: Duration::ZERO }
            }
        }
    }

    /// No answer is served after this time.
    pub(super) fn longest(ttl: Duration) -> Duration {
        ttl.saturating_mul(STALE_TIMES)
    }
}

impl Cached {
    /// The cache entry after `answer`, which replaces `previous`.
    pub(super) fn after(previous: Option<Self>, answer: Result<Document, RelayError>) -> Self {
        let at = Instant::now();
        let document = match &answer {
            Ok(document) => Some((document.clone(), at)),
            // This is an answer, too: the document is gone.
            Err(RelayError::NotFound { .. }) => None,
            Err(_) => previous.and_then(|cached| cached.document),
        };
        Self { answer, at, document }
    }

    /// The answer to serve without asking the node.
    pub(super) fn current(&self, lives: Lives) -> Option<Result<Document, RelayError>> {
        let life = match &self.answer {
            Ok(_) => lives.document,
            Err(RelayError::NotFound { .. }) => lives.absence,
            Err(_) => FAILED_FOR,
        };
        let is_failure = !matches!(self.answer, Ok(_) | Err(RelayError::NotFound { .. }));
        let stand_in = is_failure.then(|| self.stale(lives)).flatten();
        (self.at.elapsed() < life).then(|| stand_in.map_or_else(|| self.answer.clone(), Ok))
    }

    /// The document to serve if the node fails.
    pub(super) fn stale(&self, lives: Lives) -> Option<Document> {
        self.document.as_ref().filter(|(_, at)| at.elapsed() < lives.stale).map(|(document, _)| document.clone())
    }

    /// The approximate size in bytes.
    pub(super) fn weight(&self) -> u32 {
        let length = |document: &Document| document.body.len();
        let answer = self.answer.as_ref().map_or(0, length);
        let document = self.document.as_ref().map_or(0, |(document, _)| length(document));
        u32::try_from(answer.max(document) + size_of::<Self>()).unwrap_or(u32::MAX)
    }
}
