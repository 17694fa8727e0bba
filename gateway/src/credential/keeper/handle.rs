//! How others speak to the keeper.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::Context;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    credential::{Credential, CredentialError, FetchError},
    credential_key::CredentialKey,
    policy::Grant,
};

pub(in crate::credential) type Answer = Result<Arc<Credential>, CredentialError>;

pub(in crate::credential) enum Message {
    /// `within`: the trace of the request that asks.
    Ask {
        key: CredentialKey,
        answer: oneshot::Sender<Answer>,
        within: Context,
    },
    Keep {
        as_of: Instant,
        wanted: Vec<Arc<Grant>>,
    },
    State(oneshot::Sender<Vec<KeyState>>),
}

/// Tells the keeper what is wanted, and stops it: by [`KeeperHandle::stop`], or when dropped.
pub struct KeeperHandle {
    keeper: mpsc::Sender<Message>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// One key and how it fares. Holds no secret.
#[derive(Clone, Debug)]
pub struct KeyState {
    pub key: CredentialKey,
    /// Whether policy gives it to a live workload. One that is not wanted was fetched because a request asked for it, and
    /// is not renewed.
    pub wanted: bool,
    /// None while none is held.
    pub expires_at: Option<SystemTime>,
    /// Why the last fetch failed; None once one succeeded.
    pub last_error: Option<Arc<FetchError>>,
    /// None while a fetch is queued or under way, and where none is planned.
    pub next_fetch: Option<SystemTime>,
}

impl KeeperHandle {
    pub(super) fn new(keeper: mpsc::Sender<Message>, stop: CancellationToken, tasks: TaskTracker) -> Self {
        Self { keeper, stop, tasks }
    }

    /// States the complete set of grants that policy gives to live workloads. What is missing is fetched ahead; what no
    /// grant names any more is renewed no longer and dropped.
    ///
    /// `as_of` is taken *before* the workloads are read that `wanted` was decided from. A key that a request asked for
    /// since then stays: its pod may be too new to be in `wanted`, and the next set tells.
    pub async fn keep(&self, as_of: Instant, wanted: Vec<Arc<Grant>>) {
        // A keeper that has stopped wants nothing.
        let _ = self.keeper.send(Message::Keep { as_of, wanted }).await;
    }

    /// Every key, by role and session name; empty once stopped.
    pub async fn state(&self) -> Vec<KeyState> {
        let (answer, answered) = oneshot::channel();
        let _ = self.keeper.send(Message::State(answer)).await;
        answered.await.unwrap_or_default()
    }

    /// Cancels what is being fetched and returns when every task has ended. What is held stays readable.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for KeeperHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
