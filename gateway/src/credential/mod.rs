//! The read side of credentials: gives the current credential of a grant.

mod keeper;
mod observer;
mod schedule;
mod secret;
mod source;
mod store;

pub use keeper::{Keeper, KeeperHandle, KeeperSettings, KeyState};
pub use observer::Observer;
pub use secret::{Credential, Form, Secret};
pub use source::{Fetch, FetchError, FetchErrorKind, Source};

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use tokio::sync::{mpsc, oneshot};

use self::{keeper::Message, store::Store};
use crate::{clock::Clock, credential_key::CredentialKey, policy::Grant};

/// How requests get credentials. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    store: Store,
    keeper: mpsc::Sender<Message>,
    clock: Clock,
    wait: Duration,
    min_remaining: Duration,
    observer: Arc<dyn Observer>,
}

/// Why a request gets no credential. Never returned while a valid credential is cached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialError {
    /// The source failed now, or recently enough that the backoff is not over.
    #[error("the source gave no credential ({error}); the gateway asks it again in {retry_after:?}")]
    Source { error: Arc<FetchError>, retry_after: Duration },
    /// The fetch goes on; the next request may find its credential cached.
    #[error("the source has not answered within credentials.wait; ask again in {retry_after:?}")]
    TimedOut { retry_after: Duration },
    #[error("the gateway is stopping")]
    Stopped,
}

/// A fetch that outlasted one wait is most likely done a second later (STS answers in 50 to 500 ms).
const TIMED_OUT_RETRY: Duration = Duration::from_secs(1);

impl Credentials {
    /// The credential of this grant. A cached one with enough life left is returned at once, without a lock, an
    /// allocation or a turn of the scheduler. Otherwise the keeper is asked and has `credentials.wait` to answer. On
    /// timeout or failure a cached credential is served to its last second. Dropping the future cancels no fetch.
    pub async fn for_grant(&self, grant: &Grant) -> Result<Arc<Credential>, CredentialError> {
        if let Some(credential) = self.store.get(grant.key())
            && schedule::is_fresh(&credential, self.clock.now(), self.min_remaining)
        {
            self.observer.hit();
            return Ok(credential);
        }
        self.observer.miss();
        // Boxed, so that the future of a cache hit stays small.
        Box::pin(self.wait_for(grant.key())).await
    }

    /// The cached credential of this grant, if it is still valid. Fetches nothing.
    pub fn peek(&self, grant: &Grant) -> Option<Arc<Credential>> {
        self.valid(grant.key())
    }

    /// How many credentials are cached.
    pub fn held(&self) -> usize {
        self.store.len()
    }

    /// The remaining life of the cached credential that expires first; None if none is cached.
    pub fn shortest_remaining(&self) -> Option<Duration> {
        let now = self.clock.now();
        self.store.all().iter().map(|credential| credential.remaining(now)).min()
    }

    async fn wait_for(&self, key: &CredentialKey) -> Result<Arc<Credential>, CredentialError> {
        let answer = tokio::time::timeout(self.wait, self.ask(key)).await;
        let answer = answer.unwrap_or(Err(CredentialError::TimedOut { retry_after: TIMED_OUT_RETRY }));
        answer.or_else(|error| self.valid(key).ok_or(error))
    }

    async fn ask(&self, key: &CredentialKey) -> Result<Arc<Credential>, CredentialError> {
        let (answer, answered) = oneshot::channel();
        let ask = Message::Ask { key: key.clone(), answer, within: Context::current() };
        self.keeper.send(ask).await.map_err(|_| CredentialError::Stopped)?;
        answered.await.unwrap_or(Err(CredentialError::Stopped))
    }

    fn valid(&self, key: &CredentialKey) -> Option<Arc<Credential>> {
        self.store.get(key).filter(|credential| credential.is_valid(self.clock.now()))
    }
}
