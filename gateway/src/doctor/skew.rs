//! This node's clock against somebody else's.

use std::time::{Duration, SystemTime};

use super::Finding;

/// `Date` has whole seconds, and an answer may be on its way for some; more than this is the clock.
const LOOK: Duration = Duration::from_secs(30);
/// STS refuses a signature that is 15 minutes off (AWS, Signature Version 4); a clock that is this far off gets there.
const REFUSED_SOON: Duration = Duration::from_secs(5 * 60);

/// `here` is what this clock showed when the other one's `there` arrived.
pub(super) fn judge(check: &'static str, whose: &str, there: SystemTime, here: SystemTime) -> Finding {
    let (off, direction) = match here.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let shown = humantime::format_duration(Duration::from_secs(off.as_secs()));
    let found = format!("this node's clock is {shown} {direction} {whose}");
    let cure = "set the node's clock by NTP, such as chrony with 169.254.169.123; AWS refuses signatures that are 15min \
                off, and credentials end at the wrong time";
    match off {
        off if off > REFUSED_SOON => Finding::fail(check, found, cure),
        off if off > LOOK => Finding::warn(check, found, cure),
        _ => Finding::pass(check, format!("this node's clock agrees with {whose}")),
    }
}
