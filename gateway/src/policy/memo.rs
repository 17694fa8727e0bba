//! What policy said of one workload value, and whose turn it is to ask.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Decision, stands};
use crate::clock::Clock;

/// Empty until the workload's first decision. Reading it takes no lock and allocates nothing.
#[derive(Debug, Default)]
pub struct Memo {
    kept: ArcSwapOption<Kept>,
    turn: Arc<Mutex<()>>,
}

#[derive(Debug)]
pub(super) struct Kept {
    generation: u64,
    decision: Arc<Decision>,
}

impl Memo {
    /// Nothing once the rules have changed since, or the decision has had its time.
    pub(super) fn recall(&self, generation: u64, clock: &Clock) -> Option<Arc<Decision>> {
        let kept: Guard<Option<Arc<Kept>>> = self.kept.load();
        let kept = kept.as_ref().filter(|kept| kept.generation == generation)?;
        stands(kept.decision.stands_for, kept.decision.decided_at, clock).then(|| Arc::clone(&kept.decision))
    }

    /// Plugins are asked about a workload by one decision at a time, so that none can fill their threads by itself.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    pub(super) fn keep(&self, generation: u64, decision: &Arc<Decision>) {
        self.kept.store(Some(Arc::new(Kept { generation, decision: Arc::clone(decision) })));
    }

    /// The last decision, however old: for those who look on.
    pub fn last(&self) -> Option<Arc<Decision>> {
        self.kept.load().as_ref().map(|kept| Arc::clone(&kept.decision))
    }
}
