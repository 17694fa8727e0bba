//! From roster and policy to the keeper: credentials are there before the pod asks, and gone after the pod is.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    credential::KeeperHandle,
    events::{Notice, Notices},
    policy::{Grant, Outcome, Policy, Rejection},
    roster::Feed,
    workload::Workload,
};

/// Decisions that failed, and those that stand for a while only, are made again at this pace. A decision that stands
/// costs nanoseconds.
const AGAIN: Duration = Duration::from_secs(10);

/// Runs until `stop`.
pub async fn run(
    feed: Arc<Feed>,
    policy: Arc<Policy>,
    keeper: Arc<KeeperHandle>,
    notices: Notices,
    stop: CancellationToken,
) {
    let (mut roster, mut rules) = (feed.changes(), policy.changes());
    loop {
        // Before the roster is read: what is asked for after this moment may be too new to be in it.
        let as_of = Instant::now();
        roster.borrow_and_update();
        rules.borrow_and_update();
        let wanted = grants(&feed, &policy, &notices).await;
        if feed.current().synced_at().is_some() {
            keeper.keep(as_of, wanted).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = roster.changed() => {}
            _ = rules.changed() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// What policy gives to the workloads that live now.
async fn grants(feed: &Feed, policy: &Arc<Policy>, notices: &Notices) -> Vec<Arc<Grant>> {
    let mut deciding = JoinSet::new();
    for workload in feed.current().workloads() {
        let (policy, workload, notices) = (Arc::clone(policy), Arc::clone(workload), notices.clone());
        deciding.spawn(async move { wanted(&policy, &workload, &notices).await });
    }
    deciding.join_all().await.into_iter().flatten().collect()
}

/// A plugin that failed once must not cost a pod the credentials that are held for it: they stay until policy has spoken.
/// What is served meanwhile is decided by the request's own decision.
async fn wanted(policy: &Policy, workload: &Arc<Workload>, notices: &Notices) -> Option<Arc<Grant>> {
    match policy.grant(workload).await {
        Ok(grant) => Some(grant),
        Err(rejection @ (Rejection::NoRole | Rejection::Denied(_))) => {
            notices.tell(|| Notice::of_rejection(workload, &rejection));
            None
        }
        Err(Rejection::Failed(_) | Rejection::BaseUnknown | Rejection::Unread) => {
            match &workload.memo.last()?.outcome {
                Outcome::Granted(grant) => Some(Arc::clone(grant)),
                Outcome::Admitted | Outcome::Rejected(_) => None,
            }
        }
    }
}
