//! Under any mixture of requests, sets, faults and passing time, an answer is for the requested role, is valid, and
//! agrees with a slow model of what the source has issued.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

const ROLES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Step {
    Ask(Vec<usize>),
    Keep(Vec<usize>),
    Behave(Behaviour),
    Pass(Duration),
    SetAhead(Duration),
}

fn a_step() -> impl Strategy<Value = Step> {
    let roles = || proptest::collection::vec(0..ROLES.len(), 0..6);
    let behaviour = prop_oneof![
        3 => (60u64..7200).prop_map(|life| Behaviour::Answer { life: Duration::from_secs(life) }),
        1 => Just(Behaviour::Fail(FetchErrorKind::Unavailable)),
        1 => Just(Behaviour::Fail(FetchErrorKind::AccessDenied)),
        1 => Just(Behaviour::Panic),
        1 => Just(Behaviour::Hang),
    ];
    prop_oneof![
        6 => roles().prop_map(Step::Ask),
        3 => roles().prop_map(Step::Keep),
        2 => behaviour.prop_map(Step::Behave),
        4 => (1u64..3_000_000).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        1 => (1u64..3000).prop_map(|seconds| Step::SetAhead(Duration::from_secs(seconds))),
    ]
}

async fn walk(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let stage = Arc::new(Stage::with(2));
    let mut wanted = HashSet::new();
    for step in steps {
        match step {
            Step::Ask(roles) => {
                let mut asks = tokio::task::JoinSet::new();
                for role in roles {
                    let stage = Arc::clone(&stage);
                    asks.spawn(async move {
                        let answer = stage.ask(ROLES[role]).await;
                        // Read at once: while the other requests are awaited, a fetch may end.
                        (role, answer, stage.held(ROLES[role]).is_some(), stage.clock.now())
                    });
                }
                for (role, answer, held, now) in asks.join_all().await {
                    match answer {
                        Ok(credential) => {
                            prop_assert_eq!(credential.access_key_id.as_str(), ROLES[role]);
                            prop_assert_eq!(
                                credential.secret_access_key.expose(),
                                format!("secret of {}", ROLES[role])
                            );
                            prop_assert!(credential.is_valid(now));
                        }
                        Err(_) => prop_assert!(!held, "refused although a valid credential was cached"),
                    }
                }
            }
            Step::Keep(roles) => {
                wanted = roles.iter().map(|role| ROLES[*role]).collect();
                sleep(Duration::from_millis(1)).await;
                stage.keep(&wanted.iter().copied().collect::<Vec<_>>()).await;
                let known: HashSet<_> =
                    stage.keeper.state().await.iter().map(|one| one.key.role().arn.name().to_owned()).collect();
                let expected: HashSet<_> = wanted.iter().map(|role| (*role).to_owned()).collect();
                // Every request has been answered or cancelled, so only wanted keys may be known.
                prop_assert_eq!(known, expected);
            }
            Step::Behave(behaviour) => stage.source.behave(behaviour),
            Step::Pass(time) => sleep(time).await,
            Step::SetAhead(ahead) => stage.clock.step(ahead),
        }
        prop_assert!(stage.source.in_flight() <= 2);
    }
    // Whatever happened before: once the source answers, every wanted credential is fetched without a request.
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(Duration::from_secs(600)).await;
    for role in wanted {
        prop_assert!(stage.held(role).is_some_and(|credential| credential.access_key_id == role));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn keys_never_mix_under_churn(steps in proptest::collection::vec(a_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(walk(steps))?;
    }
}

/// The same claim against real threads and real time: readers race the writer for the snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_never_mix_across_threads() {
    let clock = Clock::system();
    let source = FakeSource::new(&clock);
    source.answer_after(Duration::ZERO);
    let settings = KeeperSettings {
        wait: 10 * SECOND,
        min_remaining: 25 * MINUTE,
        concurrent_fetches: 8,
        fetch_deadline: FETCH_DEADLINE,
    };
    let (credentials, keeper) = Keeper::spawn(Arc::clone(&source) as Arc<dyn Source>, settings, clock, Arc::new(()));
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..8 {
        let (credentials, done) = (credentials.clone(), Arc::clone(&done));
        readers.spawn(async move {
            let grants = ROLES.map(grant);
            for n in reader.. {
                let grant = &grants[n % grants.len()];
                let credential = credentials.for_grant(grant).await.unwrap();
                assert_eq!(credential.access_key_id, grant.role().arn.name());
                if n % 100 == 0 {
                    tokio::task::yield_now().await;
                }
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
    }
    for sets in 0..1000 {
        let wanted = ROLES.iter().skip(sets % 4).map(|role| Arc::new(grant(role))).collect();
        keeper.keep(Instant::now(), wanted).await;
        keeper.state().await;
    }
    done.store(true, Ordering::Relaxed);
    readers.join_all().await;
    assert!(source.calls() > 100, "keys were hardly dropped: {} fetches", source.calls());
}
