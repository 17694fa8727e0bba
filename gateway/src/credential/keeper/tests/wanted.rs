//! Keys that policy wants are prefetched, renewed and dropped.

use super::*;

/// B10: the gateway's own share of the time, which is zero under this clock.
#[tokio::test(start_paused = true)]
async fn a_workload_that_appears_has_its_credential_after_the_source_s_own_latency() {
    let stage = Stage::new();
    let appeared = Instant::now();
    stage.keep(&["a"]).await;
    while stage.held("a").is_none() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(appeared.elapsed() <= Duration::from_millis(102), "{:?}", appeared.elapsed());
    stage.ask("a").await.unwrap();
    assert_eq!(stage.seen.misses.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn renewal_is_at_half_of_life_give_or_take_a_tenth_and_not_all_at_once() {
    let stage = Stage::with(200);
    let roles: Vec<String> = (0..200).map(|n| format!("r{n}")).collect();
    stage.keep(&roles.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let start = Instant::now();
    sleep(34 * MINUTE).await;
    let mut renewals: Vec<u64> = stage.source.asked().iter().skip(200).map(|(_, at)| (*at - start).as_secs()).collect();
    renewals.sort_unstable();
    assert_eq!(renewals.len(), 200);
    assert!(renewals.iter().all(|at| (27 * 60..=33 * 60 + 1).contains(at)), "{renewals:?}");
    // Uniform over six minutes: 200 of them leave no empty minute.
    assert!(renewals[199] - renewals[0] > 4 * 60, "{renewals:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_never_falls_below_the_floor_and_is_never_missed() {
    for life in [15 * MINUTE, HOUR, 12 * HOUR] {
        let stage = Stage::new();
        stage.source.behave(Behaviour::Answer { life });
        stage.keep(&["a"]).await;
        sleep(SECOND).await;
        for _ in 0..300 {
            advance(life / 50).await;
            sleep(SECOND).await;
            let left = stage.ask("a").await.unwrap().remaining(stage.clock.now());
            assert!(left >= (25 * MINUTE).min(life * 5 / 12), "{left:?} of {life:?}");
        }
        assert_eq!(stage.seen.misses.load(Ordering::Relaxed), 0);
        assert!(stage.seen.renewed.lock().unwrap().iter().all(|lag| *lag < 2 * SECOND + life / 50));
    }
}

#[tokio::test(start_paused = true)]
async fn the_old_one_is_served_until_the_new_one_is_there() {
    let stage = Stage::new();
    stage.keep(&["a"]).await;
    let first = stage.ask("a").await.unwrap();
    stage.source.answer_after(9 * SECOND);
    let due = stage.state("a").await.unwrap().next_fetch.unwrap();
    sleep(stage.clock.until(due) + 5 * SECOND).await;
    assert_eq!(stage.source.in_flight(), 1);
    assert!(Arc::ptr_eq(&first, &stage.ask("a").await.unwrap()));
    sleep(5 * SECOND).await;
    assert!(!Arc::ptr_eq(&first, &stage.ask("a").await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_dropped_with_its_last_workload_and_its_secret_leaves_memory() {
    let stage = Stage::new();
    stage.keep(&["a", "b"]).await;
    sleep(SECOND).await;
    let secret = Arc::downgrade(&stage.ask("a").await.unwrap());
    assert!(secret.upgrade().is_some());
    stage.keep(&["b"]).await;
    assert!(secret.upgrade().is_none());
    assert!(stage.state("a").await.is_none());
    sleep(10 * HOUR).await;
    assert_eq!(stage.source.asked().iter().filter(|(role, _)| role == "a").count(), 1);
    assert!(stage.ask("b").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropping_a_key_ends_its_fetch_and_wanting_it_again_starts_anew() {
    let stage = Stage::with(1);
    stage.source.answer_after(5 * SECOND);
    stage.keep(&["a"]).await;
    sleep(SECOND).await;
    stage.keep(&[]).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(stage.source.in_flight(), 0);
    stage.keep(&["a"]).await;
    sleep(6 * SECOND).await;
    assert!(stage.held("a").is_some());
    assert_eq!(stage.source.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_set_again_asks_for_nothing() {
    let stage = Stage::new();
    for _ in 0..50 {
        stage.keep(&["a", "b", "a"]).await;
        sleep(SECOND).await;
    }
    assert_eq!(stage.source.calls(), 2);
}

/// A new pod asks at once; then comes a set that was made from the roster before the pod was in it.
#[tokio::test(start_paused = true)]
async fn a_set_older_than_a_request_does_not_drop_what_it_asked_for() {
    let stage = Stage::new();
    let before = Instant::now();
    sleep(Duration::from_millis(1)).await;
    let held = stage.ask("new").await.unwrap();
    stage.keeper.keep(before, vec![]).await;
    assert!(Arc::ptr_eq(&held, &stage.ask("new").await.unwrap()));
    stage.keep(&["new"]).await;
    assert!(stage.state("new").await.unwrap().wanted);
    assert!(Arc::ptr_eq(&held, &stage.ask("new").await.unwrap()));
    assert_eq!(stage.source.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_set_without_a_key_that_a_request_waits_for_drops_it_after_the_answer() {
    let stage = Stage::new();
    let sets = async {
        sleep(Duration::from_millis(20)).await;
        stage.keep(&[]).await;
    };
    let (answer, ()) = tokio::join!(stage.ask("a"), sets);
    assert_eq!(answer.unwrap().access_key_id, "a");
    assert!(stage.state("a").await.is_none());
    assert!(stage.held("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_only_a_request_asked_for_is_not_renewed_and_goes_when_it_expires() {
    let stage = Stage::new();
    let secret = Arc::downgrade(&stage.ask("a").await.unwrap());
    sleep(HOUR - SECOND).await;
    assert_eq!(stage.source.calls(), 1);
    assert!(secret.upgrade().is_some());
    // Alarms have a resolution of 1 ms.
    sleep(SECOND + Duration::from_millis(2)).await;
    assert!(secret.upgrade().is_none());
    assert!(stage.state("a").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_below_the_floor_brings_a_new_one_while_the_source_answers() {
    let stage = Stage::new();
    let first = stage.ask("a").await.unwrap();
    sleep(36 * MINUTE).await;
    let second = stage.ask("a").await.unwrap();
    assert!(second.expires_at > first.expires_at);
    assert_eq!(stage.source.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_below_the_floor_gets_the_old_one_from_a_source_that_fails_and_asks_again_later() {
    let stage = Stage::new();
    let first = stage.ask("a").await.unwrap();
    sleep(36 * MINUTE).await;
    stage.source.behave(Behaviour::Fail(FetchErrorKind::Unavailable));
    assert!(Arc::ptr_eq(&first, &stage.ask("a").await.unwrap()));
    stage.source.behave(Behaviour::Answer { life: HOUR });
    sleep(3 * SECOND).await;
    assert!(Arc::ptr_eq(&first, &stage.ask("a").await.unwrap()), "served without waiting");
    sleep(SECOND).await;
    assert!(!Arc::ptr_eq(&first, &stage.ask("a").await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn requests_overtake_renewals_and_these_overtake_prefetches() {
    let stage = Stage::with(1);
    stage.keep(&["old"]).await;
    let due = {
        sleep(SECOND).await;
        stage.state("old").await.unwrap().next_fetch.unwrap()
    };
    sleep(stage.clock.until(due) - Duration::from_millis(50)).await;
    stage.source.answer_after(200 * Duration::from_millis(1));
    stage.keep(&["old", "p0", "p1", "p2", "p3", "p4"]).await;
    sleep(Duration::from_millis(100)).await;
    // p0 is in flight, the renewal is due, p1 to p4 wait. Two requests come: x is new, p4 waits for its prefetch.
    let (x, p4) = tokio::join!(stage.ask("x"), stage.ask("p4"));
    assert!(x.is_ok() && p4.is_ok());
    sleep(2 * SECOND).await;
    let order: Vec<String> = stage.source.asked().into_iter().map(|(role, _)| role).collect();
    assert_eq!(order, ["old", "p0", "x", "p4", "old", "p1", "p2", "p3"]);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_steps_ahead_is_believed() {
    let stage = Stage::new();
    stage.keep(&["a"]).await;
    let first = stage.ask("a").await.unwrap();
    stage.clock.step(HOUR);
    assert!(stage.held("a").is_none(), "expired by the wall clock, whatever the monotonic one says");
    let second = stage.ask("a").await.unwrap();
    assert!(second.expires_at > first.expires_at);

    stage.clock.step(35 * MINUTE);
    sleep(ALARM_MAX + SECOND).await;
    let third = stage.held("a").unwrap();
    assert!(third.expires_at > second.expires_at, "the due renewal is noticed within a minute, without a request");
}
