//! The last decisions about one workload value.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};

use super::{Decision, Grant, Outcome, stands};
use crate::clock::Clock;

/// Stored beside the workload in the roster, and empty until its first decision. Reading it takes no lock and allocates
/// nothing.
#[derive(Debug, Default)]
pub struct DecisionCell {
    /// The last final decision, with the generation of its rules.
    cached: ArcSwapOption<Cached>,
    /// The last decision, final or not.
    latest: ArcSwapOption<Decision>,
}

#[derive(Debug)]
struct Cached {
    generation: u64,
    decision: Arc<Decision>,
}

impl DecisionCell {
    /// The cached decision, unless the rules have changed since or it has expired.
    pub(super) fn get(&self, generation: u64, clock: &Clock) -> Option<Arc<Decision>> {
        let cached: Guard<Option<Arc<Cached>>> = self.cached.load();
        let cached = cached.as_ref().filter(|cached| cached.generation == generation)?;
        stands(cached.decision.stands_for, cached.decision.decided_at, clock).then(|| Arc::clone(&cached.decision))
    }

    /// Final decisions are cached.
    pub(super) fn put(&self, generation: u64, decision: &Arc<Decision>) {
        if decision.is_final() {
            self.cached.store(Some(Arc::new(Cached { generation, decision: Arc::clone(decision) })));
        }
        self.latest.store(Some(Arc::clone(decision)));
    }

    /// The last final decision, however old. For tests and benches.
    pub fn last_final(&self) -> Option<Arc<Decision>> {
        self.cached.load().as_ref().map(|cached| Arc::clone(&cached.decision))
    }

    /// The grant of the last final decision.
    pub fn last_granted(&self) -> Option<Arc<Grant>> {
        match &self.cached.load().as_ref()?.decision.outcome {
            Outcome::Granted(grant) => Some(Arc::clone(grant)),
            Outcome::Admitted | Outcome::Rejected(_) => None,
        }
    }

    /// The last decision, final or not, for the status page and diagnostics.
    pub fn latest(&self) -> Option<Arc<Decision>> {
        self.latest.load_full()
    }
}
