//! One node: its keeper, and what its pods do.

use std::{sync::Arc, time::Duration};

use metagate::{
    clock::Clock,
    credential::{CredentialError, Credentials, Keeper, KeeperHandle, KeeperSettings},
    policy::Grant,
};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Fetching,
    churn::Pod,
    sts::{Account, Sts},
    tally::Tally,
};

/// A refused pod asks again after a second: SDKs pause for up to that long, and a process that gives up is restarted.
/// During a longer cooldown of the source, requests in between get the same answer and cost STS nothing, so they are
/// left out.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Node {
    credentials: Credentials,
    keeper: KeeperHandle,
    tally: Arc<Tally>,
    fetching: Fetching,
}

#[derive(Clone, Copy)]
enum Event {
    /// The keeper learns of the pod, if it does so before the pod asks.
    Wanted,
    Asks,
    Gone,
}

impl Node {
    pub(super) fn start(
        account: &Arc<Account>,
        settings: &KeeperSettings,
        clock: &Clock,
        tally: &Arc<Tally>,
        fetching: Fetching,
    ) -> Self {
        let source = Arc::new(Sts::of(account));
        let (credentials, keeper) = Keeper::spawn(source, settings.clone(), clock.clone(), Arc::new(()));
        Self { credentials, keeper, tally: Arc::clone(tally), fetching }
    }

    /// Each pod has the grant at its own index. The keeper gets the whole set at each change, as from `prefetch`.
    /// `prefetch` also repeats it every ten seconds, which changes nothing and is left out.
    pub(super) async fn play(self, pods: Vec<Pod>, grants: Vec<Arc<Grant>>, began: Instant) {
        let mut wanted: Vec<Option<Arc<Grant>>> = vec![None; grants.len()];
        let mut asking = JoinSet::new();
        for (at, number, event) in script(&pods, self.fetching) {
            let at = began + at;
            if at > Instant::now() {
                sleep_until(at).await;
            }
            let (Some(pod), Some(grant)) = (pods.get(number), grants.get(number)) else { continue };
            let Some(place) = wanted.get_mut(number) else { continue };
            match event {
                Event::Wanted => *place = Some(Arc::clone(grant)),
                Event::Asks => {
                    let (credentials, tally) = (self.credentials.clone(), Arc::clone(&self.tally));
                    asking.spawn(first_request(credentials, Arc::clone(grant), *pod, began, tally));
                    while asking.try_join_next().is_some() {}
                    if self.fetching != Fetching::OnDemand {
                        continue;
                    }
                    // The request itself begins the fetch.
                    yield_now().await;
                    *place = Some(Arc::clone(grant));
                }
                Event::Gone => *place = None,
            }
            self.keeper.keep(Instant::now(), wanted.iter().flatten().cloned().collect()).await;
        }
        std::future::pending().await
    }
}

/// All events on the node, in order. If the roster does not know a pod when it asks, the request waits (`roster.wait`).
fn script(pods: &[Pod], fetching: Fetching) -> Vec<(Duration, usize, Event)> {
    let mut script = Vec::with_capacity(3 * pods.len());
    for (number, pod) in pods.iter().enumerate() {
        match fetching {
            Fetching::WhenBound => script.push((pod.bound, number, Event::Wanted)),
            Fetching::WhenSeen => script.push((pod.seen, number, Event::Wanted)),
            Fetching::OnDemand => {}
        }
        script.push((pod.asks.max(pod.seen), number, Event::Asks));
        script.push((pod.gone, number, Event::Gone));
    }
    // The sort is stable: of two events at one moment, `Wanted` comes before `Asks`.
    script.sort_by_key(|(at, ..)| *at);
    script
}

async fn first_request(credentials: Credentials, grant: Arc<Grant>, pod: Pod, began: Instant, tally: Arc<Tally>) {
    let asked = Instant::now();
    while let Err(error) = credentials.for_grant(&grant).await {
        if began.elapsed() > pod.gone {
            tally.in_vain(asked - began);
            return;
        }
        let delay = match error {
            CredentialError::Source { retry_after, .. } | CredentialError::TimedOut { retry_after } => retry_after,
            CredentialError::Stopped => return,
        };
        sleep(delay.max(ASKS_AGAIN)).await;
    }
    tally.served(asked - began, asked.elapsed(), pod.asks < pod.seen);
}
