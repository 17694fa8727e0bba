//! One workload's place among those that wait for plugins.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Lies beside the workload in the roster. Cheap to clone; clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct Fairness(Arc<State>);

#[derive(Debug, Default)]
struct State {
    turn: Arc<Mutex<()>>,
    /// Whether a plugin failed in the workload's last evaluation, of its role or of a path.
    failing: AtomicBool,
}

impl Fairness {
    /// Waits until no other decision about the workload is being made: none can fill the plugins' threads by itself.
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
