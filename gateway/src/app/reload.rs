//! The configuration file, read again while running.
//!
//! What decides is replaced whole or not at all: plugins, policy, and the defaults of a session. Sockets, roster and source
//! are kept as they are, and a change to them is named as one that waits for a restart.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{StartError, build};
use crate::{
    config::{Effective, Faults, Sources},
    handle::Gateway,
    lifecycle::Followed,
    policy::{Policy, Rules},
    roster::Feed,
};

/// A file that a running configuration was read from.
pub struct ConfigFile {
    path: PathBuf,
    /// What was read of it, so that a change while the gateway starts is not missed.
    text: String,
    /// What runs now.
    running: Effective,
    hangups: Signal,
}

/// Listing a node's pods anew takes a second or two.
const READ_ANEW: Duration = Duration::from_secs(30);

/// Takes effect without a restart.
const LIVE: [&str; 7] = [
    "plugin",
    "plugin_files",
    "policy",
    "credentials.base_role_arn",
    "credentials.session_name",
    "credentials.session_duration",
    "credentials.session_tags",
];

#[derive(Debug, thiserror::Error)]
enum NotReloaded {
    #[error("{0}")]
    Faults(#[from] Faults),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error(
        "these plugins read more of pods than is kept, and the API server did not list them anew within 30s; send SIGHUP \
         once it answers"
    )]
    Unread,
}

impl ConfigFile {
    /// From here on SIGHUP reloads; make it before the gateway is built, as until then it ends the process.
    pub fn new(path: PathBuf, text: String, running: Effective) -> std::io::Result<Self> {
        Ok(Self { path, text, running, hangups: signal(SignalKind::hangup())? })
    }

    /// Until `stop`. A file that is wrong, or names a plugin that does not load, changes nothing.
    pub(super) async fn follow(mut self, gateway: Arc<Gateway>, stop: CancellationToken) {
        let metrics = gateway.telemetry.metrics();
        let mut followed = Followed::new(&self.path, Some(std::mem::take(&mut self.text)));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = followed.changed() => {}
                _ = self.hangups.recv() => {}
            }
            let reloaded = self.reload(&gateway.policy, &gateway.feed).await;
            metrics.reload("config", reloaded.is_ok());
            match reloaded {
                Ok(waiting) if waiting.is_empty() => tracing::info!("configuration reloaded"),
                Ok(waiting) => {
                    tracing::warn!(restart_for = waiting.join(", "), "configuration reloaded, but for these keys")
                }
                Err(error) => tracing::error!("configuration not reloaded, the last good one stays\n{error}"),
            }
        }
    }

    /// The keys that changed and wait for a restart.
    async fn reload(&mut self, policy: &Policy, feed: &Feed) -> Result<Vec<String>, NotReloaded> {
        let loaded = build::load(&Sources::read(Some(&self.path))?)?;
        build::supported(&loaded.config)?;
        build::make_compiled(&loaded.config)?;
        let next = build::rules(policy.host(), &loaded.config).await?;
        policy.announce(Some(&next));
        let read = timeout(READ_ANEW, read_for(&next, feed)).await;
        if read.is_ok() {
            adopt(policy, &next);
        }
        policy.announce(None);
        read.map_err(|_| NotReloaded::Unread)?;
        let changed = loaded.effective.changed_since(&self.running);
        Ok(changed.into_iter().filter(|key| !LIVE.iter().any(|live| is_under(key, live))).collect())
    }
}

fn adopt(policy: &Policy, next: &Rules) {
    policy.replace(|rules| match (&next.defaults.base, &rules.defaults.base) {
        // The node's account, as it was found.
        (None, Some(found)) => next.with_base(found.clone()),
        _ => Rules::clone(next),
    });
}

/// Waits until enough is known of every workload: none may be refused because its rules came before what they read.
async fn read_for(rules: &Rules, feed: &Feed) {
    let mut changes = feed.changes();
    while !feed.current().workloads().all(|workload| rules.can_read(workload)) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn is_under(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
