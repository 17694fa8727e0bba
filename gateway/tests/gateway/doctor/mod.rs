//! `metagate doctor`: each verdict, on systems that work and on systems that do not.
//!
//! Nothing here asks 169.254.169.254: every configuration names a metadata service on loopback, or the sandbox's.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test states what it expects by it")]

mod aws;
mod cluster;
mod command;
mod gateway;
mod imds;
mod node;
mod redirect;
mod server;
mod together;

use std::{path::Path, time::Duration};

use metagate::{
    clock::Clock,
    config::{Config, SANDBOX, Sources, load},
    doctor::{Doctor, Finding, Verdict},
};
use tempfile::TempDir;

/// Every check, in the order of the report.
const CHECKS: [&str; 23] = [
    "configuration",
    "gateway",
    "readiness",
    "roster",
    "credentials",
    "imds-v1",
    "redirect",
    "redirect-others",
    "node-imds",
    "api-server",
    "api-clock",
    "right-pods",
    "right-namespaces",
    "right-serviceaccounts",
    "right-events",
    "right-tokens",
    "right-nodes",
    "node",
    "startup-taint",
    "identity",
    "base-role",
    "sts",
    "sts-clock",
];

/// The sandbox's configuration with these keys changed. Its admin address is a socket where nobody listens.
fn config(folder: &TempDir, changed: &[(&str, &str)]) -> Config {
    let socket = admin(folder);
    let overrides = std::iter::once(("admin.listen", socket.as_str())).chain(changed.iter().copied());
    let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let file = Some(("sandbox.toml".into(), SANDBOX.to_owned()));
    load(&Sources { file, env: Vec::new(), overrides }).unwrap().config
}

fn admin(folder: &TempDir) -> String {
    format!("unix:{}", folder.path().join("admin.sock").display())
}

fn doctor(folder: &TempDir) -> Doctor {
    doctor_of(&folder.path().join("status.json"))
}

/// The timeouts are longer than a loaded machine needs; only what hangs reaches them.
fn doctor_of(status_file: &Path) -> Doctor {
    Doctor { status_file: status_file.to_owned(), patience: Duration::from_secs(60), clock: Clock::system() }
}

async fn examine(folder: &TempDir, changed: &[(&str, &str)]) -> Report {
    Report(doctor(folder).examine(Ok(config(folder, changed))).await)
}

#[derive(Debug)]
struct Report(Vec<Finding>);

impl Report {
    fn of(&self, check: &str) -> &Finding {
        self.0.iter().find(|finding| finding.check == check).unwrap_or_else(|| panic!("no {check} in {self:#?}"))
    }

    /// Expects this verdict, and this part of the finding or of the cure.
    #[track_caller]
    fn expect(&self, check: &str, verdict: Verdict, part: &str) {
        let finding = self.of(check);
        let text = format!("{} {}", finding.found, finding.cure.as_deref().unwrap_or_default());
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert!(text.contains(part), "{part:?} is not in {finding:?}");
        let needs_cure = matches!(verdict, Verdict::Warn | Verdict::Fail);
        assert_eq!(finding.cure.is_some(), needs_cure, "exactly warnings and failures have a cure: {finding:?}");
    }
}
