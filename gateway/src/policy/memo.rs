//! What policy said of one workload value.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};

use super::{Decision, stands};
use crate::clock::Clock;

/// Empty until the workload's first decision. Reading it takes no lock and allocates nothing.
#[derive(Debug, Default)]
pub struct Memo(ArcSwapOption<Kept>);

#[derive(Debug)]
pub(super) struct Kept {
    generation: u64,
    decision: Arc<Decision>,
}

impl Memo {
    /// Nothing once the rules have changed since, or the decision has had its time.
    pub(super) fn recall(&self, generation: u64, clock: &Clock) -> Option<Arc<Decision>> {
        let kept: Guard<Option<Arc<Kept>>> = self.0.load();
        let kept = kept.as_ref().filter(|kept| kept.generation == generation)?;
        stands(kept.decision.stands_for, kept.decision.decided_at, clock).then(|| Arc::clone(&kept.decision))
    }

    pub(super) fn keep(&self, generation: u64, decision: &Arc<Decision>) {
        self.0.store(Some(Arc::new(Kept { generation, decision: Arc::clone(decision) })));
    }

    /// The last decision, however old: for those who look on.
    pub fn last(&self) -> Option<Arc<Decision>> {
        self.0.load().as_ref().map(|kept| Arc::clone(&kept.decision))
    }
}
