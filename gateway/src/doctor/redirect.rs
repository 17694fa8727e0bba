//! The node's redirect, as `metagate intercept install --watch` last saw it: looking directly would need privileges.

use std::{
    io::ErrorKind,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{Finding, gateway, no_cluster};
use crate::{
    clock::Clock,
    config::{AdminListen, Config},
    intercept::Status,
    remedy,
};

const REDIRECT: &str = "redirect";
const FOREIGN: &str = "redirect-others";
const VERIFY: &str = "As root on the node, `metagate intercept verify` checks now.";

/// Asks the gateway at `admin`, if that is known, what the file is too old to tell.
pub(super) async fn look(path: PathBuf, admin: Option<AdminListen>, patience: Duration, clock: Clock) -> Vec<Finding> {
    let shown = path.display();
    let both = |finding| vec![finding, Finding::skip(FOREIGN, "not known")];
    let text = match tokio::fs::read_to_string(&path).await {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return both(Finding::skip(REDIRECT, format!("nobody watches it here (no {shown}). {VERIFY}")));
        }
        Err(error) => return both(Finding::skip(REDIRECT, format!("{shown}: {error}. {VERIFY}"))),
    };
    let status: Status = match serde_json::from_str(&text) {
        Ok(status) => status,
        Err(error) => {
            let found = format!("{shown} is not what a watcher of this version writes: {error}");
            return both(Finding::warn(REDIRECT, found, VERIFY));
        }
    };
    // Counted every 30 s, so a pod may have asked since.
    let asked = match (humantime::parse_rfc3339(&status.checked_at), admin) {
        (Ok(counted), Some(admin)) if status.redirected_connections == 0 => {
            gateway::was_first_asked_since(&admin, patience, counted).await
        }
        _ => false,
    };
    vec![redirect(&status, asked, clock.now()), foreign(&status)]
}

pub(super) fn none(config: &Config) -> Vec<Finding> {
    let why = no_cluster(&config.roster.source).unwrap_or_default();
    vec![Finding::skip(REDIRECT, why), Finding::skip(FOREIGN, why)]
}

fn redirect(status: &Status, asked: bool, now: SystemTime) -> Finding {
    if status.is_stale(now) {
        let found = format!("nobody has looked at it since {}", status.checked_at);
        return Finding::warn(REDIRECT, found, remedy::of_unwatched_redirect().say);
    }
    if !status.present {
        let why = status.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        return Finding::fail(REDIRECT, format!("not in place{why}"), remedy::of_missing_redirect().say);
    }
    if status.redirected_connections == 0 && asked {
        let found = format!("in place; pods have asked since its connections were counted, at {}", status.checked_at);
        return Finding::pass(REDIRECT, found);
    }
    if status.redirected_connections == 0 {
        let cure = "This is right if no pod has asked since it was put in place. Otherwise it names other interfaces \
                    than pods have (host.interface in the chart, `intercept.interfaces`), or another rule goes first.";
        return Finding::warn(REDIRECT, "in place, and no connection has ever been redirected", cure);
    }
    Finding::pass(REDIRECT, format!("in place, {} connections redirected", status.redirected_connections))
}

fn foreign(status: &Status) -> Finding {
    if status.foreign_rules.is_empty() {
        return Finding::pass(FOREIGN, "nobody else redirects the metadata service");
    }
    let found = status.foreign_rules.iter().map(|rule| {
        let order = if rule.goes_first { "it goes before ours" } else { "ours goes before it" };
        format!("a rule that looks like {} in {}; {order}", rule.owner, rule.chain)
    });
    let remove: Vec<&str> = status.foreign_rules.iter().map(|rule| rule.remove.as_str()).collect();
    let cure = format!("{} As root on the node: {}", remedy::of_foreign_rule().say, remove.join(" && "));
    Finding::warn(FOREIGN, found.collect::<Vec<_>>().join("\n"), cure)
}
