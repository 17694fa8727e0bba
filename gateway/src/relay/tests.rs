//! What is cached, for how long, and who waits, with an upstream that counts its reads, in tokio's paused time.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::catalogue::{Catalogue, DEFAULT};

const TTL: Duration = Duration::from_secs(60);

/// Answers by its script after a delay, and counts the reads.
struct Counting {
    calls: AtomicUsize,
    delay: std::sync::Mutex<Duration>,
    script: std::sync::Mutex<Script>,
}

#[derive(Clone, Copy)]
enum Script {
    /// The number of the call.
    Number,
    Absent,
    Fail,
    Panic,
}

impl Counting {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn set(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    fn set_delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }
}

impl Upstream for Counting {
    fn read<'a>(&'a self, entry: &'a Entry) -> Read<'a> {
        Box::pin(async move {
            let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let (delay, script) = (*self.delay.lock().unwrap(), *self.script.lock().unwrap());
            tokio::time::sleep(delay).await;
            let path = entry.to_string();
            match script {
                Script::Number => Ok(Document::text(number.to_string())),
                Script::Absent => Err(RelayError::NotFound { path }),
                Script::Fail => Err(RelayError::Unavailable { path, detail: "by the script".to_owned() }),
                Script::Panic => panic!("by the script"),
            }
        })
    }
}

fn counting(ttl: Duration) -> (Arc<Counting>, Relay) {
    let upstream = Arc::new(Counting {
        calls: AtomicUsize::new(0),
        delay: std::sync::Mutex::new(Duration::ZERO),
        script: std::sync::Mutex::new(Script::Number),
    });
    (upstream.clone(), Relay::new(upstream, ttl))
}

fn entry(path: &str) -> Entry {
    Catalogue::find(&path.split('/').collect::<Vec<_>>()).unwrap()
}

fn region() -> Entry {
    entry("meta-data/placement/region")
}

async fn seconds(seconds: f64) {
    tokio::time::advance(Duration::from_secs_f64(seconds)).await;
}

fn number(answer: Answer) -> usize {
    std::str::from_utf8(&answer.unwrap().body).unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_document_is_read_once_in_its_life() {
    let (upstream, relay) = counting(TTL);
    assert_eq!(number(relay.get(&region()).await), 1);
    seconds(59.9).await;
    assert_eq!(number(relay.get(&region()).await), 1);
    seconds(0.2).await;
    assert_eq!(number(relay.get(&region()).await), 2);
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_caches_nothing() {
    let (upstream, relay) = counting(Duration::ZERO);
    for expected in 1..=3 {
        assert_eq!(number(relay.get(&region()).await), expected);
    }
    upstream.set(Script::Fail);
    assert!(relay.get(&region()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn absence_is_cached_for_ten_seconds() {
    let (upstream, relay) = counting(TTL);
    upstream.set(Script::Absent);
    for _ in 0..3 {
        assert!(matches!(relay.get(&region()).await, Err(RelayError::NotFound { .. })));
    }
    assert_eq!(upstream.calls(), 1);
    upstream.set(Script::Number);
    seconds(10.1).await;
    assert_eq!(number(relay.get(&region()).await), 2);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_at_once_are_one_read() {
    let (upstream, relay) = counting(TTL);
    upstream.set_delay(Duration::from_secs(1));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let relay = relay.clone();
        callers.spawn(async move { number(relay.get(&region()).await) });
    }
    assert!(callers.join_all().await.iter().all(|number| *number == 1));
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_cancels_nothing() {
    let (upstream, relay) = counting(TTL);
    upstream.set_delay(Duration::from_secs(1));
    let hung_up = timeout(Duration::from_millis(10), relay.get(&region())).await;
    assert!(hung_up.is_err());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(number(relay.get(&region()).await), 1);
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_document_stands_in_while_the_node_fails_but_not_for_ever() {
    let (upstream, relay) = counting(TTL);
    assert_eq!(number(relay.get(&region()).await), 1);
    upstream.set(Script::Fail);
    seconds(599.0).await;
    assert!(!relay.is_failing());
    assert_eq!(number(relay.get(&region()).await), 1);
    assert!(relay.is_failing());
    seconds(1.1).await;
    assert!(matches!(relay.get(&region()).await, Err(RelayError::Unavailable { .. })));
    upstream.set(Script::Number);
    seconds(1.1).await;
    assert!(relay.get(&region()).await.is_ok());
    assert!(!relay.is_failing());
}

#[tokio::test(start_paused = true)]
async fn a_failing_node_is_asked_once_a_second() {
    let (upstream, relay) = counting(TTL);
    relay.get(&region()).await.unwrap();
    upstream.set(Script::Fail);
    seconds(61.0).await;
    for _ in 0..40 {
        assert_eq!(number(relay.get(&region()).await), 1);
        seconds(0.1).await;
    }
    assert!((4..=5).contains(&(upstream.calls() - 1)), "{} reads in 4 seconds", upstream.calls() - 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_node_delays_a_served_pod_by_a_quarter_of_a_second_at_most() {
    let (upstream, relay) = counting(TTL);
    relay.get(&region()).await.unwrap();
    upstream.set_delay(Duration::from_secs(2));
    seconds(61.0).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(number(relay.get(&region()).await), 1);
    assert!(asked.elapsed() <= FRESH_WAIT + Duration::from_millis(2));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(number(relay.get(&region()).await), 2, "the read went on without its caller");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_the_node_reports_gone_is_not_served_stale() {
    let (upstream, relay) = counting(TTL);
    relay.get(&region()).await.unwrap();
    upstream.set(Script::Absent);
    seconds(61.0).await;
    assert!(matches!(relay.get(&region()).await, Err(RelayError::NotFound { .. })));
    upstream.set(Script::Fail);
    seconds(11.0).await;
    assert!(matches!(relay.get(&region()).await, Err(RelayError::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn warnings_are_seconds_old_at_most_and_never_stale() {
    for path in [
        "meta-data/spot/instance-action",
        "meta-data/spot/termination-time",
        "meta-data/events/maintenance/scheduled",
        "meta-data/events/recommendations/rebalance",
        "meta-data/autoscaling/target-lifecycle-state",
    ] {
        let (upstream, relay) = counting(TTL);
        let warning = entry(path);
        upstream.set(Script::Absent);
        assert!(relay.get(&warning).await.is_err());
        upstream.set(Script::Number);
        seconds(2.1).await;
        assert_eq!(number(relay.get(&warning).await), 2, "{path}");
        upstream.set(Script::Fail);
        seconds(2.1).await;
        assert!(matches!(relay.get(&warning).await, Err(RelayError::Unavailable { .. })), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn made_up_names_neither_pile_up_nor_harm_cached_documents() {
    let (upstream, relay) = counting(TTL);
    assert_eq!(number(relay.get(&region()).await), 1);
    upstream.set_delay(Duration::from_secs(2));
    let mut callers = tokio::task::JoinSet::new();
    for tag in 0..10 * FLIGHTS_MAX {
        let (relay, tag) = (relay.clone(), entry(&format!("meta-data/tags/instance/t{tag}")));
        callers.spawn(async move { relay.get(&tag).await });
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(upstream.calls(), 1 + FLIGHTS_MAX);
    assert_eq!(number(relay.get(&region()).await), 1);
    seconds(1.0).await;
    let refused = callers.join_all().await.into_iter().filter(Result::is_err).count();
    assert_eq!(refused, 9 * FLIGHTS_MAX);
    assert!(relay.flights.lock().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_panics_harms_only_those_who_wait_for_it() {
    let (upstream, relay) = counting(TTL);
    upstream.set(Script::Panic);
    assert!(matches!(relay.get(&region()).await, Err(RelayError::Unavailable { .. })));
    upstream.set(Script::Number);
    assert_eq!(number(relay.get(&region()).await), 2);
}

/// The sandbox has every kind of directory. Following listings from the top finds exactly the documents that are
/// admitted.
#[tokio::test]
async fn following_listings_finds_exactly_what_is_admitted() {
    let sandbox = Arc::new(SandboxInstance::new());
    let relay = Relay::new(sandbox.clone(), TTL);
    for written in [
        vec![],
        DEFAULT.into(),
        vec!["network/interfaces/macs/*/vpc-id", "tags/instance/Name", "public-keys"],
        vec!["network/interfaces/macs/*/ipv4-associations", "block-device-mapping/*"],
        vec!["dynamic/instance-identity/document", "user-data", "spot"],
        vec!["meta-data", "dynamic", "user-data"],
    ] {
        let allow = AllowList::parse(&written.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap();
        let mut found = Vec::new();
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            let segments: Vec<_> = directory.split('/').filter(|segment| !segment.is_empty()).collect();
            let Some(listing) = Catalogue::listing(&segments, &allow) else { continue };
            for name in relay.list(&listing, &allow).await.unwrap_or_default() {
                let path = Catalogue::path_of(&segments, &name);
                match Catalogue::find(&path.split('/').collect::<Vec<_>>()) {
                    Some(entry) if relay.get(&entry).await.is_ok() => found.push(entry.to_string()),
                    Some(_) => {}
                    None => directories.push(path),
                }
            }
        }
        let admitted = sandbox.paths().filter(|path| {
            let entry = Catalogue::find(&path.split('/').collect::<Vec<_>>());
            entry.is_some_and(|entry| entry.path() == *path && allow.admits(&entry))
        });
        found.sort();
        assert_eq!(found, admitted.collect::<Vec<_>>(), "{written:?}");
    }
}
