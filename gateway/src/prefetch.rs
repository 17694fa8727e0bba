//! From roster and policy to the keeper: credentials are there before the pod asks, and gone after the pod is.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    credential::KeeperHandle,
    events::{Notice, Notices},
    policy::{Grant, Policy, Rejection},
    roster::Feed,
    workload::Workload,
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
    notices: Notices,
    stop: CancellationToken,
) {
    let (mut roster, mut rules) = (feed.changes(), policy.changes());
    let (granted_late, turns) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(AT_ONCE)));
    loop {
        // Before the roster is read: what is asked for after this moment may be too new to be in it.
        let as_of = Instant::now();
        roster.borrow_and_update();
        rules.borrow_and_update();
        let wanted = grants(&feed, &policy, &notices, &turns, &granted_late).await;
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

/// What policy gives to the workloads that live now. One whose decision is long in coming has what it was last given, so that
/// a plugin that is slow for one pod keeps no other waiting; `granted_late` tells when it came after all.
async fn grants(
    feed: &Feed,
    policy: &Arc<Policy>,
    notices: &Notices,
    turns: &Arc<Semaphore>,
    granted_late: &Arc<Notify>,
) -> Vec<Arc<Grant>> {
    let (mut grants, mut deciding) = (Vec::new(), Vec::new());
    for workload in feed.current().workloads() {
        if let Some(remembered) = policy.remembered(workload) {
            grants.extend(wanted(remembered, workload, notices));
            continue;
        }
        let (policy, notices, late) = (Arc::clone(policy), notices.clone(), Arc::clone(granted_late));
        let (asked, workload) = (Arc::clone(workload), Arc::clone(workload));
        let (tell, told) = oneshot::channel();
        let turns = Arc::clone(turns);
        tokio::spawn(async move {
            // Never closed, so the turn always comes. A pod whose last decision failed has waited for one already, and keeps
            // nobody else from theirs.
            let turn = match asked.memo.latest() {
                None => Some(turns.acquire().await),
                Some(_) => None,
            };
            let decided = policy.grant(&asked).await;
            drop(turn);
            let granted = decided.is_ok();
            // Where nobody waits for it any more it is kept in the workload's memo. A failure that comes late is no news: to
            // look at it at once would only make the next one.
            if tell.send(wanted(decided, &asked, &notices)).is_err() && granted {
                late.notify_one();
            }
        });
        deciding.push((workload, told));
    }
    let until = Instant::now() + IN_TIME;
    for (workload, told) in deciding {
        grants.extend(match timeout_at(until, told).await {
            Ok(told) => told.ok().flatten(),
            Err(_) => workload.memo.last_granted(),
        });
    }
    grants
}

/// A plugin that failed once must not cost a pod the credentials that are held for it: they stay until policy has spoken.
/// What is served meanwhile is decided by the request's own decision.
fn wanted(decided: Result<Arc<Grant>, Rejection>, workload: &Arc<Workload>, notices: &Notices) -> Option<Arc<Grant>> {
    match decided {
        Ok(grant) => Some(grant),
        Err(rejection @ (Rejection::NoRole | Rejection::Denied(_))) => {
            notices.tell(|| Notice::of_rejection(workload, &rejection));
            None
        }
        Err(Rejection::Failed(_) | Rejection::BaseUnknown | Rejection::Unread) => workload.memo.last_granted(),
    }
}
