//! The credentials that the gateway holds.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::{
    Finding,
    gateway::{Key, State},
};

const CHECK: &str = "credentials";
/// Roles named per kind of failure; the others are counted.
const NAMED: usize = 5;

pub(super) fn judge(state: &State, min_remaining: Duration, now: SystemTime) -> Finding {
    let held = state.credentials.iter().filter(|key| key.expires.is_some()).count();
    if let Some(failing) = failing(&state.credentials) {
        return Finding::warn(CHECK, format!("{held} held; {}", failing.found), failing.cure);
    }
    // A credential that no pod wants is not renewed, and may expire.
    let wanted = state.credentials.iter().filter(|key| key.wanted);
    let ends = wanted.filter_map(|key| humantime::parse_rfc3339(key.expires.as_deref()?).ok());
    let Some(first) = ends.min() else {
        return Finding::pass(CHECK, format!("{held} held, none that a present pod has a grant for"));
    };
    let left = first.duration_since(now).unwrap_or_default();
    let shown = humantime::format_duration(Duration::from_secs(left.as_secs()));
    if left < min_remaining {
        let cure = "Renewals come late or not at all: see the check `sts`, and the metric \
                    metagate_credential_fetch_duration_seconds.";
        return Finding::warn(
            CHECK,
            format!("{held} held; the first expires in {shown}, below credentials.min_remaining"),
            cure,
        );
    }
    Finding::pass(CHECK, format!("{held} held; the first expires in {shown}"))
}

struct Failing {
    found: String,
    cure: String,
}

/// Grouped by what went wrong. Each cure is said once.
fn failing(keys: &[Key]) -> Option<Failing> {
    let mut classes: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in keys {
        if let Some(class) = &key.last_error {
            classes.entry(class).or_default().push(key);
        }
    }
    if classes.is_empty() {
        return None;
    }
    let found = classes.iter().map(|(class, keys)| {
        let more = keys.len().saturating_sub(NAMED);
        let named = keys.iter().take(NAMED).map(|key| key.role_arn.as_str()).collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{class}: {named} and {more} more") } else { format!("{class}: {named}") }
    });
    let found = format!("the last fetch failed with {}", found.collect::<Vec<_>>().join("; "));
    let untold = "See the gateway's log; a gateway of this version would tell the cure.";
    let mut cures: Vec<&str> = Vec::new();
    for key in classes.values().flat_map(|keys| keys.iter().take(NAMED)) {
        let cure = key.remedy.as_ref().map_or(untold, |remedy| remedy.say.as_str());
        if !cures.contains(&cure) {
            cures.push(cure);
        }
    }
    Some(Failing { found, cure: cures.join(" ") })
}
