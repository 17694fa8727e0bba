//! The source is down, is slow or denies.

use super::*;

/// Advances time in steps, and calls `at_each` after each one.
async fn walk(step: Duration, steps: u32, mut at_each: impl AsyncFnMut(u32)) {
    for n in 0..steps {
        advance(step).await;
        // Lets the keeper and the source act on the time that has passed.
        sleep(Duration::from_millis(200)).await;
        at_each(n).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keeps_serving_old_credentials_while_source_is_down() {
    let stage = Stage::new();
    stage.keep(&["a"]).await;
    let first = stage.ask("a").await.unwrap();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Unavailable));
    walk(MINUTE, 59, async |n| {
        let asked_at = Instant::now();
        let served = stage.ask("a").await.unwrap();
        assert!(Arc::ptr_eq(&first, &served), "minute {n}");
        assert_eq!(asked_at.elapsed(), Duration::ZERO, "a held credential was waited for at minute {n}");
    })
    .await;
    let tries = stage.source.calls();
    assert!((20..200).contains(&tries), "{tries} tries in half an hour");
}

#[tokio::test(start_paused = true)]
async fn an_expired_credential_is_never_served_and_does_not_stay_in_memory() {
    for class in [FetchErrorKind::Unavailable, FetchErrorKind::AccessDenied, FetchErrorKind::Throttled] {
        let stage = Stage::new();
        stage.keep(&["a"]).await;
        let (secret, expires_at) = {
            let first = stage.ask("a").await.unwrap();
            (Arc::downgrade(&first), first.expires_at)
        };
        stage.source.behave(Behaviour::Fail(class));
        sleep(stage.clock.until(expires_at) - Duration::from_millis(1)).await;
        assert!(stage.ask("a").await.is_ok(), "{class}: the last millisecond");
        sleep(Duration::from_millis(1)).await;
        assert_eq!(source_error(stage.ask("a").await).0, class);
        sleep(Duration::from_millis(2)).await;
        assert!(secret.upgrade().is_none(), "{class}: held after its end");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_come_closer_as_expiry_does_but_not_when_throttled() {
    for (class, gaps_at_the_end) in [(FetchErrorKind::Unavailable, 1..=3), (FetchErrorKind::Throttled, 30..=61)] {
        let stage = Stage::new();
        stage.keep(&["a"]).await;
        let expires_at = stage.ask("a").await.unwrap().expires_at;
        stage.source.behave(Behaviour::Fail(class));
        sleep(stage.clock.until(expires_at) - Duration::from_millis(10)).await;
        let calls = stage.source.asked();
        let [.., (_, before_last), (_, last)] = calls.as_slice() else { panic!("never retried") };
        let gap = (*last - *before_last).as_secs();
        assert!(gaps_at_the_end.contains(&gap), "{class}: {gap} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_back_renews_and_forgets_the_failure() {
    let stage = Stage::new();
    stage.keep(&["a"]).await;
    let first = stage.ask("a").await.unwrap();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Unavailable));
    sleep(50 * MINUTE).await;
    assert_eq!(last_error(&stage.state("a").await.unwrap()), Some(FetchErrorKind::Unavailable));
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(MINUTE + SECOND).await;
    let second = stage.ask("a").await.unwrap();
    assert!(second.expires_at > first.expires_at);
    assert_eq!(last_error(&stage.state("a").await.unwrap()), None);
    let lag = stage.seen.renewed.lock().unwrap()[0];
    assert!(lag > 17 * MINUTE && lag < 25 * MINUTE, "due at half of life, had at 50 minutes: {lag:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_as_long_as_its_class_deserves() {
    for (class, window) in [
        (FetchErrorKind::AccessDenied, 60..=120),
        (FetchErrorKind::Invalid, 60..=120),
        (FetchErrorKind::Identity, 60..=120),
        (FetchErrorKind::Token, 5..=10),
        (FetchErrorKind::Throttled, 2..=4),
        (FetchErrorKind::Unavailable, 0..=1),
    ] {
        let stage = Stage::new();
        stage.source.behave(Behaviour::Fail(class));
        let (reported, retry_after) = source_error(stage.ask("a").await);
        assert_eq!(reported, class);
        assert!(window.contains(&retry_after.as_secs()), "{class}: {retry_after:?}");

        // Timers have a resolution of 1 ms.
        sleep(retry_after - Duration::from_millis(10)).await;
        let asked_at = Instant::now();
        let (again, left) = source_error(stage.ask("a").await);
        assert_eq!((again, asked_at.elapsed()), (class, Duration::ZERO));
        assert!(left <= Duration::from_millis(10), "{class}: {left:?} of {retry_after:?} left");
        assert_eq!(stage.source.calls(), 1, "{class}: the source was asked inside the window");

        sleep(Duration::from_millis(11)).await;
        source_error(stage.ask("a").await);
        assert_eq!(stage.source.calls(), 2, "{class}: the window never ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_that_stays_is_retried_less_and_less_often() {
    let stage = Stage::new();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::AccessDenied));
    stage.keep(&["a"]).await;
    sleep(2 * HOUR).await;
    let calls = stage.source.asked();
    let gaps: Vec<u64> = calls.windows(2).map(|pair| (pair[1].1 - pair[0].1).as_secs()).collect();
    assert!((60..=120).contains(&gaps[0]), "{gaps:?}");
    assert!(gaps[3..].iter().all(|gap| (150..=300).contains(gap)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_another_class_begins_at_its_own_first_window() {
    let stage = Stage::new();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Unavailable));
    stage.keep(&["a"]).await;
    sleep(5 * MINUTE).await;
    stage.source.behave(Behaviour::Fail(FetchErrorKind::AccessDenied));
    sleep(6 * SECOND).await;
    let (class, left) = source_error(stage.ask("a").await);
    assert_eq!(class, FetchErrorKind::AccessDenied);
    assert!(left > 53 * SECOND && left <= 120 * SECOND, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wanted_key_is_retried_without_being_asked_for() {
    let stage = Stage::new();
    stage.source.behave(Behaviour::Fail(FetchErrorKind::AccessDenied));
    stage.keep(&["a"]).await;
    sleep(SECOND).await;
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(120 * SECOND).await;
    assert!(stage.held("a").is_some());
}

#[tokio::test(start_paused = true)]
async fn one_failing_role_leaves_the_others_alone() {
    let stage = Stage::with(1);
    stage.source.behave_for("bad", Behaviour::Fail(FetchErrorKind::Throttled));
    stage.keep(&["bad", "good"]).await;
    sleep(HOUR * 10).await;
    assert!(stage.ask("good").await.is_ok());
    assert!(stage.held("bad").is_none());
}
