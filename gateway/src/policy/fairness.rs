//! Fairness between workloads that wait for plugins.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The state of one workload, beside it in the roster. Cheap to clone; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Fairness(Arc<State>);

#[derive(Debug, Default)]
struct State {
    turn: Arc<Mutex<()>>,
    /// Whether a plugin failed in the workload's last evaluation, for its role or a path.
    failing: AtomicBool,
}

impl Fairness {
    /// Waits until no other decision about the workload is in progress: one workload cannot fill the plugin threads.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.0.turn).lock_owned().await
    }

    pub(super) fn set_failing(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::Relaxed);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Relaxed)
    }
}
