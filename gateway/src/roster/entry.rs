//! A workload of this node, with the state that belongs to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use crate::{
    policy::{DecisionCell, Fairness, Principal},
    workload::Workload,
};

/// A change of the pod, its namespace or its service account makes a new workload and with it a new entry. So no state
/// here outlives the data that it was made from.
#[derive(Debug, Default)]
pub struct Entry {
    pub workload: Arc<Workload>,
    /// Policy's decision about this very value.
    pub decision: DecisionCell,
    /// The workload's place among those that wait for plugins.
    pub fairness: Fairness,
    /// What has been logged about the workload.
    pub logged: Logged,
}

/// What is logged once for each workload.
#[derive(Debug, Default)]
pub struct Logged {
    /// When the credential that the workload was last given was issued, in nanoseconds since 1970; 0: none yet.
    credential: AtomicU64,
    /// Whether the workload was seen to ask without a session token.
    v1: AtomicBool,
}

impl Entry {
    /// The workload as policy decides about it.
    pub fn principal(&self) -> Principal<'_> {
        Principal { workload: &self.workload, decision: &self.decision, fairness: &self.fairness }
    }
}

impl From<Workload> for Entry {
    fn from(workload: Workload) -> Self {
        Arc::new(workload).into()
    }
}

impl From<Arc<Workload>> for Entry {
    fn from(workload: Arc<Workload>) -> Self {
        Self { workload, ..Self::default() }
    }
}

impl Logged {
    /// Records that the workload is given the credential that was issued at that time. True the first time.
    pub fn first_credential(&self, issued_at: SystemTime) -> bool {
        let since = issued_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let issued = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // Read first: a hit must not take the cache line from the other threads.
        self.credential.load(Ordering::Relaxed) != issued && self.credential.swap(issued, Ordering::Relaxed) != issued
    }

    /// Records that the workload asks without a session token (IMDSv1). True the first time.
    pub fn first_v1(&self) -> bool {
        !self.v1.load(Ordering::Relaxed) && !self.v1.swap(true, Ordering::Relaxed)
    }
}
