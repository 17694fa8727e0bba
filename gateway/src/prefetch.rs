//! Feeds grants from roster and policy to the keeper: credentials are fetched before the pod asks, and dropped once the
//! pod is gone.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    credential::KeeperHandle,
    events,
    kubernetes::events::EventSender,
    policy::{Grant, Granted, Policy, Rejected, Rejection},
    roster::{Entry, Feed},
};

/// The interval between evaluations, which repeat failed and expired decisions. A cached decision costs nanoseconds.
const INTERVAL: Duration = Duration::from_secs(10);
/// The wait for a decision. It takes less than a millisecond in Rust and some in Python; a plugin may be given 50 ms
/// and more.
const DECISION_WAIT: Duration = Duration::from_millis(100);
/// Concurrent first decisions, about as many as the instances of three plugins allow. More would only wait for an
/// instance and hold memory meanwhile, and a node that has just started may have a thousand to make.
const CONCURRENT_DECISIONS: usize = 32;

/// Runs until `stop`.
pub async fn run(
    feed: Arc<Feed>,
    policy: Arc<Policy>,
    keeper: Arc<KeeperHandle>,
    events: EventSender,
    stop: CancellationToken,
) {
    let (mut roster, mut rules) = (feed.changes(), policy.changes());
    let (granted_late, permits) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(CONCURRENT_DECISIONS)));
    loop {
        // Taken before the roster is read: the pod of a later request may be too new to be in it.
        let as_of = Instant::now();
        roster.borrow_and_update();
        rules.borrow_and_update();
        let wanted = grants(&feed, &policy, &events, &permits, &granted_late).await;
        if feed.current().synced_at().is_some() {
            keeper.keep(as_of, wanted).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = roster.changed() => {}
            _ = rules.changed() => {}
            () = granted_late.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// The grants of the workloads in the roster. A workload whose decision is slow keeps its last grant, so that a plugin
/// that is slow for one pod delays no other; `granted_late` is notified when the late grant has come.
async fn grants(
    feed: &Feed,
    policy: &Arc<Policy>,
    events: &EventSender,
    permits: &Arc<Semaphore>,
    granted_late: &Arc<Notify>,
) -> Vec<Arc<Grant>> {
    let (mut grants, mut deciding) = (Vec::new(), Vec::new());
    for entry in feed.current().entries() {
        if let Some(cached) = policy.cached(&entry.decision) {
            grants.extend(wanted(cached, entry, events));
            continue;
        }
        let (policy, events, late) = (Arc::clone(policy), events.clone(), Arc::clone(granted_late));
        let (asked, entry) = (Arc::clone(entry), Arc::clone(entry));
        let (answer, answered) = oneshot::channel();
        let permits = Arc::clone(permits);
        tokio::spawn(async move {
            // The semaphore is never closed, so that `acquire` always yields a permit. A pod whose last decision failed
            // has had a permit once, and now takes none away from the others.
            let permit = match asked.decision.latest() {
                None => Some(permits.acquire().await),
                Some(_) => None,
            };
            let decided = policy.grant(asked.principal()).await;
            drop(permit);
            let granted = decided.is_ok();
            // If the wait is over, the decision is cached in the workload's cell. A failure that comes late wakes
            // nobody: an immediate evaluation would only make the next failure.
            if answer.send(wanted(decided, &asked, &events)).is_err() && granted {
                late.notify_one();
            }
        });
        deciding.push((entry, answered));
    }
    let until = Instant::now() + DECISION_WAIT;
    for (entry, answered) in deciding {
        grants.extend(match timeout_at(until, answered).await {
            Ok(grant) => grant.ok().flatten(),
            Err(_) => entry.decision.last_granted(),
        });
    }
    grants
}

/// A plugin that failed once must not cost a pod its cached credentials: they stay until policy has decided. Meanwhile
/// each request is still served by its own decision.
fn wanted(decided: Result<Granted, Rejected>, entry: &Entry, events: &EventSender) -> Option<Arc<Grant>> {
    let rejected = match decided {
        Ok(granted) => return Some(granted.grant),
        Err(rejected) => rejected,
    };
    match rejected.rejection {
        Rejection::NoRole | Rejection::Denied(_) => {
            events.send(|| events::of_refusal(&entry.workload, &rejected.into()));
            None
        }
        Rejection::Failed(_) | Rejection::BaseUnknown | Rejection::Relisting => entry.decision.last_granted(),
    }
}
