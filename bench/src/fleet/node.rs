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

/// A pod that was refused asks again after a second: SDKs pause for up to that long, and what gives up is started anew. Where the
/// source is left alone for longer, those who ask in between are told the same and cost STS nothing, and are left out.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Node {
    credentials: Credentials,
    keeper: KeeperHandle,
    tally: Arc<Tally>,
    fetching: Fetching,
}

#[derive(Clone, Copy)]
enum Event {
    /// The keeper is told, where it is told before the pod asks.
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

    /// Each pod has the grant at its own place. The keeper is told of the whole set at each change, as `prefetch` tells it; that
    /// repeats it every ten seconds too, which changes nothing and is left out.
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
                    // The request itself is what begins the fetch.
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

/// Everything that happens on the node, in order. One that is not known when it asks is waited for (`roster.wait`).
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
    // Stable: of two in one moment, wanted comes before asked.
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
        let told = match error {
            CredentialError::Source { retry_after, .. } | CredentialError::TimedOut { retry_after } => retry_after,
            CredentialError::Stopped => return,
        };
        sleep(told.max(ASKS_AGAIN)).await;
    }
    tally.served(asked - began, asked.elapsed(), pod.asks < pod.seen);
}
