//! The node's redirect, as `metagate intercept install --watch` last saw it: looking directly would need privileges.

use std::{io::ErrorKind, path::PathBuf, time::SystemTime};

use super::{Finding, no_cluster};
use crate::{clock::Clock, config::Config, intercept::Status, remedy};

const REDIRECT: &str = "redirect";
const FOREIGN: &str = "redirect-others";
const VERIFY: &str = "As root on the node, `metagate intercept verify` checks now.";

pub(super) async fn look(path: PathBuf, clock: Clock) -> Vec<Finding> {
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
    vec![redirect(&status, clock.now()), foreign(&status)]
}

pub(super) fn none(config: &Config) -> Vec<Finding> {
    let why = no_cluster(&config.roster.source).unwrap_or_default();
    vec![Finding::skip(REDIRECT, why), Finding::skip(FOREIGN, why)]
}

fn redirect(status: &Status, now: SystemTime) -> Finding {
    if status.is_stale(now) {
        let found = format!("nobody has looked at it since {}", status.checked_at);
        return Finding::warn(REDIRECT, found, remedy::of_unwatched_redirect().say);
    }
    if !status.present {
        let why = status.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        return Finding::fail(REDIRECT, format!("not in place{why}"), remedy::of_missing_redirect().say);
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
