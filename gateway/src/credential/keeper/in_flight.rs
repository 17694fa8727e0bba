//! Fetches in flight: independent of the requests that wait for them, bounded in number and in time. Each has a task of
//! its own, so that a source that panics loses only that fetch.

use std::{collections::HashMap, sync::Arc, time::Duration};

use opentelemetry::{Context, context::FutureExt};
use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, timeout},
};

use crate::{
    credential::{Credential, FetchError, FetchErrorKind, Source},
    credential_key::CredentialKey,
};

type Outcome = Result<Credential, FetchError>;

pub(super) struct InFlight {
    tasks: JoinSet<Outcome>,
    /// Without abandoned fetches, which are in `tasks` until they end.
    running: HashMap<Id, Running>,
    limit: usize,
    deadline: Duration,
}

struct Running {
    key: CredentialKey,
    started: Instant,
    task: AbortHandle,
}

pub(super) struct Finished {
    pub(super) key: CredentialKey,
    pub(super) outcome: Outcome,
    pub(super) started: Instant,
}

impl InFlight {
    pub(super) fn new(limit: usize, deadline: Duration) -> Self {
        Self { tasks: JoinSet::new(), running: HashMap::new(), limit: limit.max(1), deadline }
    }

    pub(super) fn has_room(&self) -> bool {
        self.tasks.len() < self.limit
    }

    pub(super) fn count(&self, of: impl Fn(&CredentialKey) -> bool) -> usize {
        self.running.values().filter(|flight| of(&flight.key)).count()
    }

    pub(super) fn launch(&mut self, source: Arc<dyn Source>, key: CredentialKey, within: Context) {
        let (deadline, asked) = (self.deadline, key.clone());
        let fetch = async move {
            let answered = timeout(deadline, source.fetch(&asked)).await;
            answered.unwrap_or_else(|_| Err(unavailable(format!("the source has not answered within {deadline:?}"))))
        };
        let task = self.tasks.spawn(fetch.with_context(within));
        self.running.insert(task.id(), Running { key, started: Instant::now(), task });
    }

    /// The next fetch that ends; None if none is in flight. Cancel-safe: dropping the future loses nothing.
    pub(super) async fn finished(&mut self) -> Option<Finished> {
        loop {
            let (id, outcome) = match self.tasks.join_next_with_id().await? {
                Ok((id, outcome)) => (id, outcome),
                Err(error) => (error.id(), Err(crashed(&error))),
            };
            if let Some(Running { key, started, .. }) = self.running.remove(&id) {
                return Some(Finished { key, outcome, started });
            }
        }
    }

    /// Cancels the fetch of that key. Its outcome is never returned.
    pub(super) fn abandon(&mut self, key: &CredentialKey) {
        for (_, flight) in self.running.extract_if(|_, flight| flight.key == *key) {
            flight.task.abort();
        }
    }

    pub(super) async fn cancel(&mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }
}

/// The panic's own message is left to the panic hook: it may quote what the source was processing.
fn crashed(error: &JoinError) -> FetchError {
    unavailable(if error.is_panic() { "the source panicked" } else { "the fetch was cancelled" }.to_owned())
}

fn unavailable(detail: String) -> FetchError {
    FetchError { class: FetchErrorKind::Unavailable, code: None, detail }
}
