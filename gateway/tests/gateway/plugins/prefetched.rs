//! Prefetch with plugins that fail.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use metagate::{
    clock::Clock,
    credential::{Keeper, KeeperSettings},
    kubernetes::events::EventSender,
    policy::Rules,
    prefetch,
    roster::{Feed, Knowledge},
    source::SandboxSource,
};
use tokio_util::sync::CancellationToken;

use super::{
    bench::{Bench, defaults},
    guests::three,
    pods::{allow, does, pod, role},
};

/// Longer than a failed decision and its backoff (1.2 s), shorter than prefetch's interval (10 s).
const LONG_ENOUGH: Duration = Duration::from_secs(4);

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..6_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within a minute: {what}");
}

/// The pod had a role, and keeps the last one until policy has decided: one more failure of a plugin changes nothing.
#[tokio::test]
async fn a_late_failure_is_not_retried_at_once() {
    let [first, second, third] = three().await;
    let bench = Bench::new([first.clone(), second.clone()]);
    let (feed, stop) = (Arc::new(Feed::default()), CancellationToken::new());
    // The third loops until its timeout, 200 ms, which is longer than prefetch waits.
    let scripts = [("first", role("web")), ("second", allow()), ("third", does("authorize", "loop"))];
    feed.publish(vec![pod(&scripts)], Knowledge::Complete, SystemTime::now());
    let settings = KeeperSettings {
        wait: Duration::from_millis(900),
        min_remaining: Duration::ZERO,
        concurrent_fetches: 1,
        fetch_deadline: Duration::from_secs(1),
    };
    let source = Arc::new(SandboxSource::new(Clock::system()));
    let (credentials, keeper) = Keeper::spawn(source, settings, Clock::system(), Arc::new(()));
    let keeper = Arc::new(keeper);
    let prefetching = prefetch::run(feed, Arc::clone(&bench.policy), keeper, EventSender::default(), stop.clone());
    let prefetching = tokio::spawn(prefetching);
    eventually("its credential is cached", async || credentials.held() == 1).await;

    bench.policy.replace(|_| Rules::new(vec![first.clone(), second.clone(), third.clone()], defaults()));
    eventually("the third fails", async || bench.worked_out().contains(&"failed")).await;
    tokio::time::sleep(LONG_ENOUGH).await;
    assert_eq!(bench.worked_out(), ["granted", "failed"]);
    assert_eq!(credentials.held(), 1, "the cached credential stays");
    stop.cancel();
    prefetching.await.unwrap();
}
