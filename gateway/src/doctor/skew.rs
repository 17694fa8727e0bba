//! This node's clock against another one.

use std::time::{Duration, SystemTime};

use super::Finding;

/// `Date` has whole seconds, and an answer may take some seconds to arrive. A larger difference is the clock's.
const LOOK: Duration = Duration::from_secs(30);
/// STS refuses a signature that is 15 minutes off (AWS, Signature Version 4). A clock that is this far off will get there.
const REFUSED_SOON: Duration = Duration::from_secs(5 * 60);

/// `here` is this clock's time when the other clock's time `there` arrived.
pub(super) fn judge(check: &'static str, whose: &str, there: SystemTime, here: SystemTime) -> Finding {
    let (off, direction) = match here.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let shown = humantime::format_duration(Duration::from_secs(off.as_secs()));
    let found = format!("this node's clock is {shown} {direction} {whose}");
    let cure = "Set the node's clock by NTP, such as chrony with 169.254.169.123. AWS refuses signatures that are \
                15min off, and credentials expire at the wrong time.";
    match off {
        off if off > REFUSED_SOON => Finding::fail(check, found, cure),
        off if off > LOOK => Finding::warn(check, found, cure),
        _ => Finding::pass(check, format!("this node's clock agrees with {whose}")),
    }
}
