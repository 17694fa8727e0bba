//! The handle by which other modules reach the keeper.

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

/// Tells the keeper which grants are wanted, and stops it: by [`KeeperHandle::stop`], or on drop.
pub struct KeeperHandle {
    keeper: mpsc::Sender<Message>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The state of one key. Holds no secret.
#[derive(Clone, Debug)]
pub struct KeyState {
    pub key: CredentialKey,
    /// Whether policy grants the key to a live workload. A key that is not wanted was fetched for a request and is not
    /// renewed.
    pub wanted: bool,
    /// None while no credential is cached.
    pub expires_at: Option<SystemTime>,
    /// Why the last fetch failed; None once one succeeded.
    pub last_error: Option<Arc<FetchError>>,
    /// None while a fetch is queued or in flight, and if none is planned.
    pub next_fetch: Option<SystemTime>,
}

impl KeeperHandle {
    pub(super) fn new(keeper: mpsc::Sender<Message>, stop: CancellationToken, tasks: TaskTracker) -> Self {
        Self { keeper, stop, tasks }
    }

    /// Sets the complete set of grants that policy gives to live workloads. Missing credentials are prefetched; a
    /// credential that no grant names any more is dropped and not renewed.
    ///
    /// `as_of` is a time *before* the roster was read to decide `wanted`. A key that a request asked for since then
    /// stays: its pod may be too new to be in `wanted`, and the next set decides.
    pub async fn keep(&self, as_of: Instant, wanted: Vec<Arc<Grant>>) {
        // The send fails only if the keeper has stopped.
        let _ = self.keeper.send(Message::Keep { as_of, wanted }).await;
    }

    /// Every key, sorted by role and session name; empty once stopped.
    pub async fn state(&self) -> Vec<KeyState> {
        let (answer, answered) = oneshot::channel();
        let _ = self.keeper.send(Message::State(answer)).await;
        answered.await.unwrap_or_default()
    }

    /// Cancels the fetches in flight and returns when every task has ended. Cached credentials stay readable.
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
