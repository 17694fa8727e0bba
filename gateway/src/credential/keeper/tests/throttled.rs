//! STS throttles the account.

use super::*;

const ROLES: [&str; 20] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];

/// A node that wants twenty roles and whose first eight fetches, all in flight at once, were throttled.
async fn throttled() -> Stage {
    let stage = Stage::new();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Throttled));
    stage.keep(&ROLES).await;
    sleep(SECOND).await;
    assert_eq!(stage.source.calls(), 8, "the fetches in flight were throttled, and no other one began");
    stage
}

/// When the first fetch was throttled. A fetch takes 100 ms.
fn throttled_at(stage: &Stage) -> Instant {
    stage.source.asked()[0].1 + Duration::from_millis(100)
}

/// Seconds between the first refusal and each later call.
fn later(stage: &Stage) -> Vec<f64> {
    let (calls, throttled) = (stage.source.asked(), throttled_at(stage));
    calls[8..].iter().map(|(_, at)| (*at - throttled).as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn after_one_throttled_fetch_no_other_role_is_fetched() {
    let stage = throttled().await;
    sleep(30 * SECOND).await;
    let later = later(&stage);
    // Two to four seconds after the eight, which count once; then, one at a time, four to eight and eight to sixteen.
    assert!((2.0..=4.01).contains(&later[0]), "{later:?}");
    assert!((4.0..=8.2).contains(&(later[1] - later[0])), "{later:?}");
    assert!((8.0..=16.2).contains(&(later[2] - later[1])), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn each_success_allows_one_more_fetch_at_once() {
    let stage = throttled().await;
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(6 * SECOND).await;
    let later = later(&stage);
    let first = later[0];
    // Each fetch takes 100 ms, and timers a millisecond more.
    let about = |time: f64| later.iter().filter(|at| (**at - first - time).abs() < 0.05).count();
    assert_eq!((about(0.0), about(0.1), about(0.2)), (1, 2, 4), "{later:?}");
    assert!(ROLES.iter().all(|role| stage.held(role).is_some()));
    assert!(stage.source.most_in_flight() <= 8);
}

#[tokio::test(start_paused = true)]
async fn a_success_resets_the_backoff() {
    let stage = throttled().await;
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
async fn a_request_that_could_not_outwait_the_pause_is_answered_at_once_with_its_length() {
    let stage = throttled().await;
    let asked_at = Instant::now();
    let (class, pause) = source_error(stage.ask("another").await);
    assert_eq!((class, asked_at.elapsed()), (FetchErrorKind::Throttled, Duration::ZERO));
    // The pause is at most 4 s long, and a timer of tokio's is up to a millisecond late.
    let whole = pause + asked_at.duration_since(throttled_at(&stage));
    assert!(
        whole <= Duration::from_millis(4001),
        "what is over of the pause is not told again: {pause:?} of {whole:?}"
    );
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(pause).await;
    assert!(stage.ask("another").await.is_ok(), "the role is fetched as soon as the pause is over");
}

#[tokio::test(start_paused = true)]
async fn a_cached_credential_is_served_while_sts_throttles() {
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
async fn throttling_does_not_delay_a_web_identity_role_nor_the_other_way_round() {
    let stage = throttled().await;
    stage.source.behave_for("own", Behaviour::Answer { life: HOUR });
    let web_identity = CredentialSource::WebIdentity { audience: "sts.amazonaws.com".into(), regional: true };
    assert!(stage.credentials.for_grant(&grant_by("own", web_identity.clone())).await.is_ok());

    // Nor does it delay the others: STS did not throttle the node's account.
    let stage = Stage::new();
    stage.source.behave_for("own", Behaviour::Fail(FetchErrorKind::Throttled));
    source_error(stage.credentials.for_grant(&grant_by("own", web_identity)).await);
    assert!(stage.ask("a").await.is_ok());
}
