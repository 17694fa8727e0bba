//! When a credential is fresh, when it is renewed, and how long the backoff after a failure is: pure functions of
//! times, errors and jitter.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::Credential;
use crate::credential::FetchErrorKind;

/// The longest backoff.
pub(super) const LONGEST_WINDOW: Duration = Duration::from_secs(300);
/// A renewal is due at half of a credential's life, plus or minus this share of that half, so that credentials that
/// were issued together are not renewed together.
const RENEWAL_JITTER: f64 = 0.1;
/// After this many doublings the delay is always the longest one.
const DOUBLINGS: u32 = 16;

/// The least remaining life of a served credential while the source answers: `min_remaining`, but at most five twelfths
/// of the credential's life. Of 60 minutes that is 25, the largest window in which an SDK (botocore) treats a
/// credential as due. It also lies below 45%, where the latest renewal begins, so that a short session is not always
/// due.
pub(super) fn floor(min_remaining: Duration, life: Duration) -> Duration {
    min_remaining.min(life * 5 / 12)
}

/// Whether the credential is valid and has at least the [`floor`] of life left, so that it needs no fetch.
pub(super) fn is_fresh(credential: &Credential, now: SystemTime, min_remaining: Duration) -> bool {
    credential.is_valid(now) && credential.remaining(now) >= floor(min_remaining, credential.life())
}

/// When the renewal is due. `jitter` is from -1 to 1. A credential that is past half of its life when it arrives (from
/// a source that caches) is renewed after a quarter of its remaining life, so that no source is asked without a pause.
pub(super) fn renew_at(issued_at: SystemTime, expires_at: SystemTime, now: SystemTime, jitter: f64) -> SystemTime {
    let life = expires_at.duration_since(issued_at).unwrap_or_default();
    let half = issued_at + life.mul_f64(0.5 * (1.0 + RENEWAL_JITTER * jitter.clamp(-1.0, 1.0)));
    if half > now { half } else { now + expires_at.duration_since(now).unwrap_or_default() / 4 }
}

/// The backoff after the `failures`th failure of that class in a row (1 is the first). `remaining` is the remaining
/// life of the cached credential, if there is one.
pub(super) fn retry_after(class: FetchErrorKind, failures: u32, remaining: Option<Duration>, seed: u64) -> Duration {
    let (shortest, longest) = match (class, remaining) {
        // Somebody has to change IAM or a manifest; faster retries do not hurry them.
        (FetchErrorKind::AccessDenied | FetchErrorKind::Invalid | FetchErrorKind::Identity, _) => (60.0, 150.0),
        (FetchErrorKind::Throttled, _) => (2.0, 30.0),
        // No request waits for a renewal: once a minute is enough (the widest spacing that SDKs use for a due
        // credential).
        (FetchErrorKind::Token | FetchErrorKind::Unavailable, Some(_)) => (1.0, 30.0),
        // The kubelet rewrites tokens within seconds of the pod's start.
        (FetchErrorKind::Token, None) => (5.0, 5.0),
        // Below the spacing of SDK retries, so that a pod's next retry reaches the source.
        (FetchErrorKind::Unavailable, None) => (0.5, 2.5),
    };
    let delay = backoff(shortest, longest, failures, seed);
    match remaining {
        // The closer the expiry, the more retries; but a throttled caller that retries faster is throttled longer.
        Some(left) if class != FetchErrorKind::Throttled => delay.min((left / 4).max(Duration::from_secs(1))),
        _ => delay,
    }
}

/// `shortest` seconds, doubled with each failure up to `longest` seconds, plus a jitter of up to the same again.
fn backoff(shortest: f64, longest: f64, failures: u32, seed: u64) -> Duration {
    let longest = Duration::from_secs_f64(longest);
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs_f64(shortest))
        .with_max_delay(longest)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(seed)
        .build()
        .nth(failures.saturating_sub(1).min(DOUBLINGS) as usize)
        .unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLASSES: [FetchErrorKind; 6] = [
        FetchErrorKind::AccessDenied,
        FetchErrorKind::Invalid,
        FetchErrorKind::Token,
        FetchErrorKind::Identity,
        FetchErrorKind::Throttled,
        FetchErrorKind::Unavailable,
    ];

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn seconds(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
        range.prop_map(Duration::from_secs)
    }

    #[test]
    fn an_hour_is_held_to_the_whole_floor_and_a_quarter_hour_to_its_share() {
        let floor = |minutes: u64| floor(Duration::from_secs(25 * 60), Duration::from_secs(minutes * 60)).as_secs();
        assert_eq!((floor(60), floor(720), floor(15)), (1500, 1500, 375));
    }

    #[test]
    fn throttling_backs_off_while_other_renewals_hurry_towards_expiry() {
        let left = Some(Duration::from_secs(8));
        assert!(retry_after(FetchErrorKind::Throttled, 5, left, 1) >= Duration::from_secs(30));
        assert!(retry_after(FetchErrorKind::Unavailable, 5, left, 1) <= Duration::from_secs(2));
    }

    #[test]
    fn windows_grow_to_their_bounds() {
        for (class, first, last) in [
            (FetchErrorKind::AccessDenied, 60..=120, 150..=300),
            (FetchErrorKind::Invalid, 60..=120, 150..=300),
            (FetchErrorKind::Identity, 60..=120, 150..=300),
            (FetchErrorKind::Token, 5..=10, 5..=10),
            (FetchErrorKind::Throttled, 2..=4, 30..=60),
            (FetchErrorKind::Unavailable, 0..=1, 2..=5),
        ] {
            for seed in 0..100 {
                let window = |failures| retry_after(class, failures, None, seed).as_secs();
                assert!(first.contains(&window(1)), "{class}: {}", window(1));
                assert!(last.contains(&window(u32::MAX)), "{class}: {}", window(u32::MAX));
            }
        }
    }

    proptest! {
        #[test]
        fn a_renewal_begins_at_half_of_life_and_before_the_floor(
            life in seconds(60..=43_200), min in seconds(0..=43_200), jitter in -1.0f64..=1.0
        ) {
            let renew = renew_at(at(0), at(0) + life, at(0), jitter).duration_since(at(0)).unwrap().as_secs_f64();
            let share = renew / life.as_secs_f64();
            prop_assert!((0.449..=0.551).contains(&share), "{share}");
            prop_assert!(life.as_secs_f64() - renew > floor(min, life).as_secs_f64());
        }

        #[test]
        fn a_renewal_is_never_due_at_once(
            issued in 0u64..100_000, life in 0u64..100_000, now in 0u64..100_000, jitter in -2.0f64..=2.0
        ) {
            let due = renew_at(at(issued), at(issued + life), at(now), jitter);
            prop_assert!(due >= at(now));
            prop_assert!(due > at(now) || now >= issued + life);
        }

        #[test]
        fn no_window_is_empty_or_longer_than_the_longest(
            class in proptest::sample::select(CLASSES.to_vec()), failures in any::<u32>(), seed in any::<u64>(),
            remaining in proptest::option::of(seconds(0..=43_200)),
        ) {
            let window = retry_after(class, failures, remaining, seed);
            prop_assert!(window >= Duration::from_millis(500) && window <= LONGEST_WINDOW, "{window:?}");
        }
    }
}
