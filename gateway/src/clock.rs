//! The only module that reads the system time.
//!
//! Expirations come from STS as wall-clock times; schedules use tokio's monotonic time. A clock that follows tokio
//! makes both advance together, so a test that pauses tokio's time controls both.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_sts::primitives::{DateTime, DateTimeFormat};
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub struct Clock {
    anchor: Option<(SystemTime, Instant)>,
    /// How far a test has moved the wall clock ahead, as NTP or the end of a suspend does.
    #[cfg(test)]
    step: std::sync::Arc<std::sync::Mutex<Duration>>,
}

impl Clock {
    pub fn system() -> Self {
        Self::anchored(None)
    }

    /// A clock that shows `start` now and advances with tokio's time.
    pub fn following_tokio(start: SystemTime) -> Self {
        Self::anchored(Some((start, Instant::now())))
    }

    fn anchored(anchor: Option<(SystemTime, Instant)>) -> Self {
        Self {
            anchor,
            #[cfg(test)]
            step: std::sync::Arc::default(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "everybody else asks this clock")]
    pub fn now(&self) -> SystemTime {
        match self.anchor {
            None => SystemTime::now(),
            #[cfg(test)]
            Some((start, since)) => start + since.elapsed() + *self.step.lock().unwrap(),
            #[cfg(not(test))]
            Some((start, since)) => start + since.elapsed(),
        }
    }

    /// Moves the wall clock ahead, but not tokio's time.
    #[cfg(test)]
    pub(crate) fn step(&self, ahead: Duration) {
        *self.step.lock().unwrap() += ahead;
    }

    /// The time until `moment`; zero if it has passed.
    pub fn until(&self, moment: SystemTime) -> Duration {
        moment.duration_since(self.now()).unwrap_or_default()
    }
}

/// `2026-01-31T12:00:00Z`, or `unknown` outside the years 1970 to 9999: humantime panics before, and fails after.
pub fn rfc3339(moment: SystemTime) -> String {
    let mut text = String::new();
    let written = moment >= UNIX_EPOCH && write!(text, "{}", humantime::format_rfc3339_seconds(moment)).is_ok();
    if written { text } else { "unknown".to_owned() }
}

/// The moment in an HTTP `Date` header.
pub fn of_http_date(written: &str) -> Option<SystemTime> {
    SystemTime::try_from(DateTime::from_str(written, DateTimeFormat::HttpDate).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_outside_of_the_calendar_is_unknown_and_no_panic() {
        let late = UNIX_EPOCH + Duration::from_secs(300_000_000_000);
        for odd in [UNIX_EPOCH - Duration::from_secs(1), late] {
            assert_eq!(rfc3339(odd), "unknown");
        }
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(5)), "1970-01-01T00:00:05Z");
    }
}
