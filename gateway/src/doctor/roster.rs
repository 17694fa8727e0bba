//! What the gateway knows of the node's pods, and how old that knowledge is.

use std::time::Duration;

use super::{
    Finding,
    gateway::{Metrics, State},
};
use crate::remedy;

const CHECK: &str = "roster";
/// A watch that ends is restarted within 10 s.
const OUTDATED: f64 = 60.0;

pub(super) fn judge(state: &State, metrics: &Metrics) -> Finding {
    let cure = remedy::of_outdated_roster().say;
    let count = match state.workloads.len() {
        1 => "1 pod".to_owned(),
        count => format!("{count} pods"),
    };
    let Some(synced_at) = &state.roster.synced_at else {
        return Finding::fail(CHECK, "has never been filled, so no pod is known", cure);
    };
    match metrics.sample("metagate_roster_age_seconds") {
        Some(age) if age > OUTDATED => {
            let age = humantime::format_duration(Duration::from_secs(age as u64));
            Finding::warn(CHECK, format!("{count}, and changes may have been missed for {age}"), cure)
        }
        Some(_) => Finding::pass(CHECK, format!("{count}, up to date, first filled at {synced_at}")),
        None => Finding::warn(
            CHECK,
            format!("{count}; the age of the roster is not known"),
            "See /metrics of the admin listener.",
        ),
    }
}
