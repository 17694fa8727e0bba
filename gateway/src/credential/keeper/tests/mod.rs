use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use tokio::time::{advance, sleep};

use super::{
    fake_source::{Behaviour, FakeSource, HOUR},
    *,
};
use crate::{
    credential::CredentialError,
    pairs::Pairs,
    role::{CredentialSource, Role},
    workload::Workload,
};

mod churn;
mod outage;
mod throttled;
mod wanted;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A keeper with a fake source and a clock that the test controls.
struct Stage {
    source: Arc<FakeSource>,
    clock: Clock,
    credentials: Credentials,
    keeper: KeeperHandle,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    hits: AtomicUsize,
    misses: AtomicUsize,
    fetched: Mutex<Vec<(Result<(), FetchErrorKind>, Duration)>>,
    renewed: Mutex<Vec<Duration>>,
}

impl Observer for Seen {
    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    fn fetched(&self, outcome: Result<(), FetchErrorKind>, elapsed: Duration) {
        self.fetched.lock().unwrap().push((outcome, elapsed));
    }

    fn renewed(&self, lag: Duration) {
        self.renewed.lock().unwrap().push(lag);
    }
}

impl Stage {
    fn new() -> Self {
        Self::with(8)
    }

    fn with(concurrent_fetches: usize) -> Self {
        let clock = Clock::following_tokio(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let (source, seen) = (FakeSource::new(&clock), Arc::new(Seen::default()));
        let settings = KeeperSettings {
            wait: Duration::from_millis(800),
            min_remaining: 25 * MINUTE,
            concurrent_fetches,
            fetch_deadline: FETCH_DEADLINE,
        };
        let (to_source, observer) = (Arc::clone(&source), Arc::clone(&seen));
        let (credentials, keeper) = Keeper::spawn(to_source, settings, clock.clone(), observer);
        Self { source, clock, credentials, keeper, seen }
    }

    async fn ask(&self, role: &str) -> Result<Arc<Credential>, CredentialError> {
        self.credentials.for_grant(&grant(role)).await
    }

    /// Keeps the keys of `roles`, as of now.
    async fn keep(&self, roles: &[&str]) {
        self.keeper.keep(Instant::now(), roles.iter().map(|role| Arc::new(grant(role))).collect()).await;
        // A second message behind it: when it is answered, the set has been processed.
        self.keeper.state().await;
    }

    async fn state(&self, role: &str) -> Option<KeyState> {
        self.keeper.state().await.into_iter().find(|one| one.key.role().arn.name() == role)
    }

    fn held(&self, role: &str) -> Option<Arc<Credential>> {
        self.credentials.peek(&grant(role))
    }
}

fn grant(role: &str) -> Grant {
    grant_by(role, CredentialSource::AssumeRole)
}

fn grant_by(role: &str, source: CredentialSource) -> Grant {
    let role = Role {
        arn: format!("arn:aws:iam::123456789012:role/{role}").parse().unwrap(),
        source,
        session_name: "session".parse().unwrap(),
        external_id: None,
        duration: HOUR,
        tags: Pairs::new(),
        session_policy: None,
        policy_arns: Vec::new(),
    };
    Grant::for_test(&Workload::default(), role)
}

fn last_error(state: &KeyState) -> Option<FetchErrorKind> {
    state.last_error.as_ref().map(|error| error.class)
}

fn source_error(answer: Result<Arc<Credential>, CredentialError>) -> (FetchErrorKind, Duration) {
    match answer {
        Err(CredentialError::Source { error, retry_after }) => (error.class, retry_after),
        other => panic!("expected the source's error, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_miss_fetches_and_the_next_is_a_hit_that_never_waits() {
    let stage = Stage::new();
    let first = stage.ask("a").await.unwrap();
    assert_eq!(first.access_key_id, "a");
    let grant = grant("a");
    let mut hit = std::pin::pin!(stage.credentials.for_grant(&grant));
    let polled = hit.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    match polled {
        std::task::Poll::Ready(Ok(second)) => assert!(Arc::ptr_eq(&first, &second)),
        other => panic!("a hit waited: {other:?}"),
    }
    assert_eq!((stage.seen.hits.load(Ordering::Relaxed), stage.seen.misses.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(*stage.seen.fetched.lock().unwrap(), [(Ok(()), Duration::from_millis(100))]);
}

/// Every request contains the future of a cache hit; the rare miss is boxed.
#[tokio::test(start_paused = true)]
async fn the_hot_future_is_small() {
    let (stage, grant) = (Stage::new(), grant("a"));
    assert!(size_of_val(&stage.credentials.for_grant(&grant)) <= 64);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_on_a_cold_key_make_one_fetch_and_all_are_answered() {
    let stage = Arc::new(Stage::new());
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let stage = Arc::clone(&stage);
        callers.spawn(async move { stage.ask("a").await.map(|credential| credential.access_key_id.clone()) });
    }
    let answers = callers.join_all().await;
    assert_eq!(answers.len(), 10_000);
    assert!(answers.iter().all(|answer| answer.as_deref().is_ok_and(|id| id == "a")));
    assert_eq!(stage.source.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_cancels_nobody() {
    let stage = Arc::new(Stage::new());
    let leaver = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move { stage.ask("a").await.map(drop) }
    });
    let stayer = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move { stage.ask("a").await.map(drop) }
    });
    sleep(Duration::from_millis(50)).await;
    leaver.abort();
    assert!(stayer.await.unwrap().is_ok());
    assert_eq!(stage.source.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_no_request_waits_for_any_more_still_fills_the_cache() {
    let stage = Stage::new();
    stage.source.answer_after(2 * SECOND);
    assert!(matches!(stage.ask("a").await, Err(CredentialError::TimedOut { .. })));
    sleep(2 * SECOND).await;
    assert!(stage.held("a").is_some());
    assert!(stage.ask("a").await.is_ok());
    assert_eq!(stage.source.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn fetches_in_flight_are_bounded() {
    let stage = Stage::with(3);
    let roles: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    stage.keep(&roles.iter().map(String::as_str).collect::<Vec<_>>()).await;
    sleep(SECOND).await;
    assert_eq!(stage.source.calls(), 20);
    assert_eq!(stage.source.most_in_flight(), 3);
    assert!(roles.iter().all(|role| stage.held(role).is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_source_loses_one_fetch_and_not_the_keeper() {
    let stage = Stage::new();
    stage.source.behave_for("bad", Behaviour::Panic);
    let (bad, good) = tokio::join!(stage.ask("bad"), stage.ask("good"));
    assert_eq!(source_error(bad).0, FetchErrorKind::Unavailable);
    assert_eq!(good.unwrap().access_key_id, "good");
    stage.source.behave_for("bad", Behaviour::Answer { life: HOUR });
    sleep(5 * SECOND).await;
    assert!(stage.ask("bad").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_source_is_given_up_and_makes_room() {
    let stage = Stage::with(1);
    stage.source.behave_for("stuck", Behaviour::Hang);
    assert!(matches!(stage.ask("stuck").await, Err(CredentialError::TimedOut { .. })));
    sleep(FETCH_DEADLINE).await;
    assert_eq!(stage.source.in_flight(), 0);
    assert_eq!(last_error(&stage.state("stuck").await.unwrap()), Some(FetchErrorKind::Unavailable));
    assert!(stage.ask("fine").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_credential_issued_with_less_than_a_minute_of_life_is_a_failure() {
    let stage = Stage::new();
    for life in [Duration::ZERO, 59 * SECOND] {
        stage.source.behave(Behaviour::Answer { life });
        assert_eq!(source_error(stage.ask("a").await).0, FetchErrorKind::Unavailable);
        assert!(stage.held("a").is_none());
        sleep(5 * SECOND).await;
    }
    stage.source.behave(Behaviour::Answer { life: MINUTE });
    assert!(stage.ask("a").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_keeper_ends_its_fetches_and_still_serves_what_is_held() {
    let stage = Stage::new();
    stage.ask("held").await.unwrap();
    stage.source.behave(Behaviour::Hang);
    let waiting = async {
        sleep(10 * Duration::from_millis(10)).await;
        stage.keeper.stop().await;
    };
    let (answer, ()) = tokio::join!(stage.ask("new"), waiting);
    assert!(matches!(answer, Err(CredentialError::Stopped)));
    assert_eq!(stage.source.in_flight(), 0);
    assert!(stage.ask("held").await.is_ok());
    assert!(matches!(stage.ask("other").await, Err(CredentialError::Stopped)));
    assert!(stage.keeper.state().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_stops_the_task() {
    let Stage { source, credentials, keeper, .. } = Stage::new();
    let weak = Arc::downgrade(&source);
    drop((source, keeper));
    assert!(matches!(credentials.for_grant(&grant("a")).await, Err(CredentialError::Stopped)));
    assert!(weak.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_state_shows_everything_but_the_secret() {
    let stage = Stage::new();
    stage.source.behave_for("b", Behaviour::Fail(FetchErrorKind::AccessDenied));
    stage.keep(&["b", "a"]).await;
    sleep(SECOND).await;
    let state = stage.keeper.state().await;
    let roles: Vec<_> = state.iter().map(|one| one.key.role().arn.name()).collect();
    assert_eq!(roles, ["a", "b"]);
    let expires_at = stage.held("a").unwrap().expires_at;
    assert_eq!((state[0].expires_at, last_error(&state[0])), (Some(expires_at), None));
    assert_eq!((state[1].expires_at, last_error(&state[1])), (None, Some(FetchErrorKind::AccessDenied)));
    assert!(state.iter().all(|one| one.wanted && one.next_fetch.is_some_and(|next| next > stage.clock.now())));
    assert!(!format!("{state:?}").contains("secret"));
}
