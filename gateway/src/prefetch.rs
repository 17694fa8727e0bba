//! From roster and policy to the keeper: credentials are there before the pod asks, and gone after the pod is.

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

/// Decisions that failed, and those that stand for a while only, are made again at this pace. A decision that stands
/// costs nanoseconds.
const AGAIN: Duration = Duration::from_secs(10);
/// For a decision, which takes less than a millisecond in Rust and some in Python; a plugin may be given 50 ms and more.
const IN_TIME: Duration = Duration::from_millis(100);
/// Decisions under way at one time, about as many as the plugins' instances allow of three plugins. More would only wait for
/// an instance and hold memory meanwhile, and a node that has just started may have a thousand to make.
const AT_ONCE: usize = 32;

/// Runs until `stop`.
pub async fn run(
    feed: Arc<Feed>,
    policy: Arc<Policy>,
    keeper: Arc<KeeperHandle>,
    events: EventSender,
    stop: CancellationToken,
) {
    let (mut roster, mut rules) = (feed.changes(), policy.changes());
    let (granted_late, turns) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(AT_ONCE)));
    loop {
        // Before the roster is read: what is asked for after this moment may be too new to be in it.
        let as_of = Instant::now();
        roster.borrow_and_update();
        rules.borrow_and_update();
        let wanted = grants(&feed, &policy, &events, &turns, &granted_late).await;
        if feed.current().synced_at().is_some() {
            keeper.keep(as_of, wanted).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = roster.changed() => {}
            _ = rules.changed() => {}
            () = granted_late.notified() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// What policy gives to the workloads that live now. A workload whose decision is slow keeps what it was
/// last granted, so that a plugin that is slow for one pod keeps no other waiting; `granted_late` tells when the grant has come.
async fn grants(
    feed: &Feed,
    policy: &Arc<Policy>,
    events: &EventSender,
    turns: &Arc<Semaphore>,
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
        let (tell, told) = oneshot::channel();
        let turns = Arc::clone(turns);
        tokio::spawn(async move {
            // Never closed, so the turn always comes. A pod whose last decision failed has waited for one already, and keeps
            // nobody else from theirs.
            let turn = match asked.decision.latest() {
                None => Some(turns.acquire().await),
                Some(_) => None,
            };
            let decided = policy.grant(asked.principal()).await;
            drop(turn);
            let granted = decided.is_ok();
            // Where nobody waits for it any more, the decision lies in the workload's cell. A failure that comes late is no
            // news: to look at it at once would only make the next one.
            if tell.send(wanted(decided, &asked, &events)).is_err() && granted {
                late.notify_one();
            }
        });
        deciding.push((entry, told));
    }
    let until = Instant::now() + IN_TIME;
    for (entry, told) in deciding {
        grants.extend(match timeout_at(until, told).await {
            Ok(told) => told.ok().flatten(),
            Err(_) => entry.decision.last_granted(),
        });
    }
    grants
}

/// A plugin that failed once must not cost a pod the credentials that are held for it: they stay until policy has decided.
/// What is served meanwhile is decided by the request's own decision.
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
