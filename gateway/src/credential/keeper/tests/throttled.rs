//! STS says that the account asks too much.

use super::*;

const ROLES: [&str; 20] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];

/// A node that wants twenty roles and was refused its first eight, at once.
async fn refused() -> Stage {
    let stage = Stage::new();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Throttled));
    stage.keep(&ROLES).await;
    sleep(SECOND).await;
    assert_eq!(stage.source.calls(), 8, "what was under way was refused, and nothing else was asked for");
    stage
}

/// Seconds between the first refusal and each later call.
fn later(stage: &Stage) -> Vec<f64> {
    let calls = stage.source.asked();
    let refused = calls[0].1 + Duration::from_millis(100);
    calls[8..].iter().map(|(_, at)| (*at - refused).as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_one_role_is_refused_no_other_is_asked_for() {
    let stage = refused().await;
    sleep(30 * SECOND).await;
    let later = later(&stage);
    // Two to four seconds after the eight, as they are one refusal; then, one by one, four to eight and eight to sixteen.
    assert!((2.0..=4.01).contains(&later[0]), "{later:?}");
    assert!((4.0..=8.2).contains(&(later[1] - later[0])), "{later:?}");
    assert!((8.0..=16.2).contains(&(later[2] - later[1])), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn once_one_is_granted_ever_more_are_asked_for_at_once() {
    let stage = refused().await;
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(6 * SECOND).await;
    let later = later(&stage);
    let first = later[0];
    // Each takes 100 ms, and timers a millisecond more.
    let about = |time: f64| later.iter().filter(|at| (**at - first - time).abs() < 0.05).count();
    assert_eq!((about(0.0), about(0.1), about(0.2)), (1, 2, 4), "{later:?}");
    assert!(ROLES.iter().all(|role| stage.held(role).is_some()));
    assert!(stage.source.most_in_flight() <= 8);
}

#[tokio::test(start_paused = true)]
async fn a_grant_ends_the_row_of_refusals() {
    let stage = refused().await;
    sleep(20 * SECOND).await;
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(2 * MINUTE).await;
    assert!(ROLES.iter().all(|role| stage.held(role).is_some()));
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Throttled));
    let (class, pause) = source_error(stage.ask("another").await);
    assert_eq!(class, FetchErrorKind::Throttled);
    assert!(pause <= 4 * SECOND, "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_in_vain_is_told_at_once_and_for_how_long() {
    let stage = refused().await;
    let asked_at = Instant::now();
    let (class, pause) = source_error(stage.ask("another").await);
    assert_eq!((class, asked_at.elapsed()), (FetchErrorKind::Throttled, Duration::ZERO));
    assert!(pause <= 3 * SECOND, "a second of it is over: {pause:?}");
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(pause).await;
    assert!(stage.ask("another").await.is_ok(), "it was asked for as soon as the pause was over");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_held_is_served_all_the_same() {
    let stage = Stage::new();
    stage.keep(&["a"]).await;
    let first = stage.ask("a").await.unwrap();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Throttled));
    sleep(40 * MINUTE).await;
    let asked_at = Instant::now();
    assert!(Arc::ptr_eq(&first, &stage.ask("a").await.unwrap()));
    assert_eq!(asked_at.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_a_pods_own_token_is_exchanged_for_is_not_held_back() {
    let stage = refused().await;
    stage.source.behave_for("own", Behaviour::Answer { life: HOUR });
    let web_identity = CredentialSource::WebIdentity { audience: "sts.amazonaws.com".into(), regional: true };
    assert!(stage.credentials.for_grant(&grant_by("own", web_identity.clone())).await.is_ok());

    // Nor does it hold back the others: its refusal is none of the node's account's.
    let stage = Stage::new();
    stage.source.behave_for("own", Behaviour::Fail(FetchErrorKind::Throttled));
    source_error(stage.credentials.for_grant(&grant_by("own", web_identity)).await);
    assert!(stage.ask("a").await.is_ok());
}
