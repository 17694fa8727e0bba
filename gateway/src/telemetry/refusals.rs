//! The last refusals, for the status page. The same refusal of the same pod is one entry, however often it repeats: a
//! pod that asks again and again pushes no other pod's refusal out.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::request_id::RequestId;

/// The most entries: more than a person reads.
const ENTRIES_MAX: usize = 200;
/// The most bytes of a message from AWS or a plugin: a sentence or two. All entries together take some 250 KiB at most.
const CAUSE_MAX: usize = 1024;

#[derive(Default)]
pub struct Refusals(Mutex<VecDeque<RecentRefusal>>);

#[derive(Clone, Debug)]
pub struct RecentRefusal {
    /// When it last occurred.
    pub at: Instant,
    pub times: u64,
    /// The id of the last request.
    pub request_id: RequestId,
    pub peer: IpAddr,
    /// `namespace/pod`; None where the caller is not known.
    pub pod: Option<String>,
    pub route: &'static str,
    pub status: u16,
    /// The refusal's label.
    pub reason: &'static str,
    /// The text for the operator, as of the last request.
    pub cause: String,
}

impl Refusals {
    pub(super) fn add(&self, mut refused: RecentRefusal) {
        refused.cause.truncate(refused.cause.floor_char_boundary(CAUSE_MAX));
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = entries.iter().position(|before| before.is_same(&refused))
            && let Some(before) = entries.remove(index)
        {
            refused.times += before.times;
        }
        entries.push_front(refused);
        entries.truncate(ENTRIES_MAX);
    }

    /// Newest first.
    pub fn newest(&self) -> Vec<RecentRefusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl RecentRefusal {
    fn is_same(&self, other: &Self) -> bool {
        let same_caller = match (&self.pod, &other.pod) {
            (Some(pod), Some(other)) => pod == other,
            (None, None) => self.peer == other.peer,
            _ => false,
        };
        // The cause is ignored: it may hold a request's id or a path, and so differ each time.
        same_caller && (self.route, self.reason) == (other.route, other.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pod: &str, cause: &str) -> RecentRefusal {
        RecentRefusal {
            at: Instant::now(),
            times: 1,
            request_id: RequestId::default(),
            peer: [10, 0, 0, 1].into(),
            pod: Some(pod.into()),
            route: "/",
            status: 403,
            reason: "denied",
            cause: cause.into(),
        }
    }

    #[test]
    fn a_pod_that_asks_a_thousand_times_pushes_no_other_pods_refusal_out() {
        let refusals = Refusals::default();
        refusals.add(refused("quiet/one", "no"));
        for number in 0..1000 {
            refusals.add(refused("loud/one", &format!("no, says request {number}")));
        }
        let listed: Vec<_> = refusals.newest().iter().map(|refused| (refused.pod.clone(), refused.times)).collect();
        assert_eq!(listed, [(Some("loud/one".into()), 1000), (Some("quiet/one".into()), 1)]);
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_the_newest_come_first() {
        let refusals = Refusals::default();
        for number in 0..10_000 {
            refusals.add(refused(&format!("loud/{number}"), &"é".repeat(number)));
        }
        let newest = refusals.newest();
        assert_eq!((newest.len(), newest[0].pod.as_deref()), (ENTRIES_MAX, Some("loud/9999")));
        assert!(newest.iter().all(|refused| refused.cause.len() <= CAUSE_MAX));
    }
}
