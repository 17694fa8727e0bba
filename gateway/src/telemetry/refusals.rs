//! The last refusals, for those who look on. The same refusal of the same pod is one of them, however often it came: a pod
//! that asks again and again pushes nobody else's out.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::request_id::RequestId;

/// More than a person reads.
const KEPT: usize = 200;
/// Of what AWS or a plugin said: a sentence or two. All that is kept is some 250 KiB at most.
const CAUSE_MAX: usize = 1024;

#[derive(Default)]
pub struct Refusals(Mutex<VecDeque<RecentRefusal>>);

#[derive(Clone, Debug)]
pub struct RecentRefusal {
    /// The last time.
    pub at: Instant,
    pub times: u64,
    /// Of the last time.
    pub request_id: RequestId,
    pub peer: IpAddr,
    /// `namespace/pod`; None where nobody is known to have asked.
    pub pod: Option<String>,
    pub route: &'static str,
    pub status: u16,
    /// The refusal's label.
    pub reason: &'static str,
    /// What the operator reads, of the last time.
    pub cause: String,
}

impl Refusals {
    pub(super) fn add(&self, mut refused: RecentRefusal) {
        refused.cause.truncate(refused.cause.floor_char_boundary(CAUSE_MAX));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|before| before.is_again(&refused))
            && let Some(before) = kept.remove(place)
        {
            refused.times += before.times;
        }
        kept.push_front(refused);
        kept.truncate(KEPT);
    }

    /// Newest first.
    pub fn newest(&self) -> Vec<RecentRefusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl RecentRefusal {
    fn is_again(&self, other: &Self) -> bool {
        let same_asker = match (&self.pod, &other.pod) {
            (Some(pod), Some(other)) => pod == other,
            (None, None) => self.peer == other.peer,
            _ => false,
        };
        // Whatever the cause: it may hold a request's id or a path, and be another each time.
        same_asker && (self.route, self.reason) == (other.route, other.reason)
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
    fn a_pod_that_asks_a_thousand_times_pushes_nobody_elses_refusal_out() {
        let refusals = Refusals::default();
        refusals.add(refused("quiet/one", "no"));
        for number in 0..1000 {
            refusals.add(refused("loud/one", &format!("no, says request {number}")));
        }
        let shown: Vec<_> = refusals.newest().iter().map(|refused| (refused.pod.clone(), refused.times)).collect();
        assert_eq!(shown, [(Some("loud/one".into()), 1000), (Some("quiet/one".into()), 1)]);
    }

    #[test]
    fn no_more_than_a_bound_are_kept_and_the_newest_come_first() {
        let refusals = Refusals::default();
        for number in 0..10_000 {
            refusals.add(refused(&format!("loud/{number}"), &"é".repeat(number)));
        }
        let shown = refusals.newest();
        assert_eq!((shown.len(), shown[0].pod.as_deref()), (KEPT, Some("loud/9999")));
        assert!(shown.iter().all(|refused| refused.cause.len() <= CAUSE_MAX));
    }
}
