//! What policy said of one workload value, and whose turn it is to ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Decision, Grant, Outcome, stands};
use crate::clock::Clock;

/// Empty until the workload's first decision. Reading it takes no lock and allocates nothing.
#[derive(Debug, Default)]
pub struct Memo {
    kept: ArcSwapOption<Kept>,
    turn: Arc<Mutex<()>>,
    /// May be one that is not kept, as a plugin failed in it.
    latest: ArcSwapOption<Decision>,
    /// Whether plugins failed in the last one that they were asked for, be it of a role or of a path.
    doubtful: AtomicBool,
    /// When the credential was issued that the workload was last given, in nanoseconds since 1970; 0: none yet.
    handed: AtomicU64,
    /// Whether it was told of that the workload asks without a session token.
    told_of_v1: AtomicBool,
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

    /// Keeps what asking again could only give again.
    pub(super) fn keep(&self, generation: u64, decision: &Arc<Decision>) {
        if decision.is_final() {
            self.kept.store(Some(Arc::new(Kept { generation, decision: Arc::clone(decision) })));
        }
        self.latest.store(Some(Arc::clone(decision)));
    }

    pub(super) fn doubt(&self, doubtful: bool) {
        self.doubtful.store(doubtful, Ordering::Relaxed);
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Notes that the workload is given the credential that was issued then; whether it is news.
    pub fn is_handed(&self, issued_at: SystemTime) -> bool {
        let since = issued_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let issued = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // Read first: a hit must not take the line from the other threads.
        self.handed.load(Ordering::Relaxed) != issued && self.handed.swap(issued, Ordering::Relaxed) != issued
    }

    /// Notes that the workload asks without a session token; whether it is news.
    pub fn is_news_of_v1(&self) -> bool {
        !self.told_of_v1.load(Ordering::Relaxed) && !self.told_of_v1.swap(true, Ordering::Relaxed)
    }

    /// The last decision that was kept, however old.
    pub fn last(&self) -> Option<Arc<Decision>> {
        self.kept.load().as_ref().map(|kept| Arc::clone(&kept.decision))
    }

    /// What that one granted.
    pub fn last_granted(&self) -> Option<Arc<Grant>> {
        match &self.kept.load().as_ref()?.decision.outcome {
            Outcome::Granted(grant) => Some(Arc::clone(grant)),
            Outcome::Admitted | Outcome::Rejected(_) => None,
        }
    }

    /// The last one, whatever it came to: for those who look on.
    pub fn latest(&self) -> Option<Arc<Decision>> {
        self.latest.load_full()
    }
}
