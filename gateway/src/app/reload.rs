//! Reloads the configuration and the plugins' files while the gateway runs.
//!
//! Plugins, policy and the defaults of a session are replaced together or not at all. A reload reads what a start would
//! read, so a plugin's file is loaded under the newest configuration, or rejected with it. Sockets, roster and source
//! stay as they are; a change to them is reported as one that waits for a restart.

use std::{collections::BTreeSet, future::pending, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{StartError, build};
use crate::{
    config::{self, Config, Diagnostics, Effective, Loaded, PluginCode, Sources},
    handle::Gateway,
    lifecycle::{Followed, FollowedFiles, RejectedReload},
    plugin::{Plugin, signature_path},
    policy::{Policy, Rules},
    role::BaseArn,
    roster::Feed,
};

/// What a running gateway was made from.
pub struct Reload {
    /// The newest content of the files; what runs may be older.
    sources: Sources,
    /// The configuration file's text that runs.
    running: Option<String>,
    /// What the process started with.
    started: Effective,
    config: Option<Followed>,
    plugins: FollowedFiles,
    hangups: Signal,
    base: Base,
    /// After a rejected reload: its cause, and the backoff until it is retried.
    rejected: Option<(Cause, ExponentialBackoff)>,
}

/// The account that short role names belong to: as the running configuration names it, and as the node named it.
struct Base {
    written: Option<BaseArn>,
    found: Option<BaseArn>,
}

/// What caused a reload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Config,
    Plugin,
    Hangup,
}

/// The result of a reload.
struct Reloaded {
    /// Whether anything in it differs from what ran before.
    is_new: bool,
    /// Keys that changed since the start and wait for the next one.
    restart_for: Vec<String>,
}

/// A relist of a node's pods takes a second or two.
const RELIST_TIMEOUT: Duration = Duration::from_secs(30);

/// A rejected reload is retried: the API server may answer by then, a file's mode may be corrected, a processor may
/// have time. Each attempt may compile plugins again, so the backoff grows.
const RETRY_BACKOFF: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(600);

const BASE: &str = "credentials.base_role_arn";
/// Takes effect without a restart.
const LIVE: [&str; 7] = [
    "plugin",
    "plugin_files",
    "policy",
    BASE,
    "credentials.session_name",
    "credentials.session_duration",
    "credentials.session_tags",
];

#[derive(Debug, thiserror::Error)]
enum NotReloaded {
    #[error("{0}")]
    Config(#[from] Diagnostics),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error(
        "these plugins read more of pods than the roster holds, and the API server did not relist the pods within 30s; \
         send SIGHUP once it answers"
    )]
    NotRelisted,
}

impl Reload {
    /// From here on SIGHUP reloads; until then it ends the process. Call this before the gateway is built, so that no
    /// change is missed meanwhile.
    pub fn new(sources: Sources, loaded: &Loaded) -> std::io::Result<Self> {
        let config = sources.file.as_ref().map(|(path, text)| Followed::new(path, Some(text.clone())));
        Ok(Self {
            running: sources.file.as_ref().map(|(_, text)| text.clone()),
            sources,
            started: loaded.effective.clone(),
            config,
            plugins: FollowedFiles::new(files(&loaded.config)),
            hangups: signal(SignalKind::hangup())?,
            base: Base { written: loaded.config.credentials.base_role_arn.clone(), found: None },
            rejected: None,
        })
    }

    /// Runs until `stop`. A configuration with an error, or with a plugin that does not load, changes nothing.
    pub(super) async fn follow(mut self, gateway: Arc<Gateway>, stop: CancellationToken) {
        loop {
            let mut changed = Vec::new();
            let mut again = false;
            let (cause, read) = tokio::select! {
                () = stop.cancelled() => return,
                cause = retry(&mut self.rejected) => {
                    again = true;
                    (cause, self.sources.read_again())
                }
                text = changed_text(&mut self.config) => {
                    self.sources.set_text(text);
                    (Cause::Config, Ok(()))
                }
                files = self.plugins.changed() => {
                    changed = files;
                    (Cause::Plugin, Ok(()))
                }
                _ = self.hangups.recv() => (Cause::Hangup, self.sources.read_again()),
            };
            let reloaded = match read {
                Ok(()) => self.reload(&gateway).await,
                Err(faults) => Err(faults.into()),
            };
            match (&reloaded, again) {
                (Ok(_), _) => self.rejected = None,
                (Err(error), true) if still_rejected(&gateway, error) => continue,
                (Err(_), true) => {}
                (Err(_), false) => self.rejected = Some((cause, backoff())),
            }
            report(&gateway, cause, &changed, reloaded);
        }
    }

    async fn reload(&mut self, gateway: &Gateway) -> Result<Reloaded, NotReloaded> {
        let (policy, loaded) = (&gateway.policy, config::load(&self.sources)?);
        build::make_compiled(&loaded.config).await?;
        let running = policy.rules();
        let wanted = files(&loaded.config);
        // The files of running plugins are followed too: restoring such a file ends a rejection.
        let old = running.plugins.iter().map(Plugin::settings).filter_map(file);
        self.plugins.follow(wanted.iter().cloned().chain(old).collect()).await;
        let next = build::rules(policy.host(), &loaded.config, &running.plugins).await?;
        let text = self.sources.file.as_ref().map(|(_, text)| text.clone());
        let is_new = text != self.running || !same(&next.plugins, &running.plugins);
        if self.base.written.is_none() {
            self.base.found.clone_from(&running.defaults.base);
        }
        let written = loaded.config.credentials.base_role_arn.clone();
        // The node is asked for its account only at start, and only if the configuration named none then.
        let unasked = written.is_none() && self.base.written.is_some() && self.base.found.is_none();
        if is_new {
            replace(policy, &gateway.feed, &next, self.base.found.as_ref()).await?;
            self.running = text;
            if !unasked {
                self.base.written = written;
            }
        }
        self.plugins.follow(wanted).await;
        let changed = loaded.effective.changed_since(&self.started);
        let waits = |key: &String| !LIVE.iter().any(|live| is_under(key, live)) || unasked && key == BASE;
        Ok(Reloaded { is_new, restart_for: changed.into_iter().filter(waits).collect() })
    }
}

async fn changed_text(config: &mut Option<Followed>) -> String {
    match config {
        Some(config) => config.changed().await,
        None => pending().await,
    }
}

/// Never returns where no reload was rejected.
async fn retry(rejected: &mut Option<(Cause, ExponentialBackoff)>) -> Cause {
    match rejected {
        Some((cause, backoff)) => {
            tokio::time::sleep(backoff.next().unwrap_or(*RETRY_BACKOFF.end())).await;
            *cause
        }
        None => pending().await,
    }
}

fn backoff() -> ExponentialBackoff {
    let backoff = ExponentialBuilder::new().with_min_delay(*RETRY_BACKOFF.start()).with_max_delay(*RETRY_BACKOFF.end());
    backoff.without_max_times().build()
}

/// Whether the rejection has the same reason as the last one, which was reported already.
fn still_rejected(gateway: &Gateway, error: &NotReloaded) -> bool {
    gateway.configuration.current().refused.as_ref().is_some_and(|refused| refused.error == error.to_string())
}

/// Reports the result in the log, the metrics and the state.
fn report(gateway: &Gateway, cause: Cause, changed: &[PathBuf], reloaded: Result<Reloaded, NotReloaded>) {
    let (what, label) = match cause {
        Cause::Plugin => ("plugin", "plugin"),
        Cause::Config | Cause::Hangup => ("configuration", "config"),
    };
    let files = (!changed.is_empty())
        .then(|| changed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "));
    let now = gateway.clock.now();
    let accepted = reloaded.is_ok();
    match reloaded {
        // A file that was touched, or rewritten with the same content, is not reported.
        Ok(Reloaded { is_new: false, .. })
            if cause != Cause::Hangup && gateway.configuration.current().refused.is_none() =>
        {
            return;
        }
        Ok(Reloaded { is_new, restart_for }) => {
            if is_new {
                gateway.configuration.adopt(now);
                gateway.policy.rules().warn_of_audit();
            } else {
                gateway.configuration.confirm();
            }
            match restart_for.as_slice() {
                [] => tracing::info!(files, is_new, "{what} reloaded"),
                keys => {
                    tracing::warn!(files, is_new, restart_for = keys.join(", "), "{what} reloaded, but for these keys")
                }
            }
        }
        Err(error) => {
            let error = error.to_string();
            tracing::error!(files, "{what} not reloaded, the last good one stays\n{error}");
            gateway.configuration.refuse(RejectedReload { at: now, error });
        }
    }
    gateway.telemetry.metrics().reload(label, accepted);
}

/// Replaces the rules for all workloads at once, and only once the roster holds what they read of each: no workload may
/// be refused because the rules came before what they read.
async fn replace(policy: &Policy, feed: &Feed, next: &Rules, found: Option<&BaseArn>) -> Result<(), NotReloaded> {
    policy.announce(Some(next));
    let read = timeout(RELIST_TIMEOUT, read_for(next, feed)).await;
    if read.is_ok() {
        policy.replace(|rules| match (&next.defaults.base, found.or(rules.defaults.base.as_ref())) {
            // The node's account as it was discovered, perhaps just now.
            (None, Some(found)) => next.with_base(found.clone()),
            _ => Rules::clone(next),
        });
    }
    policy.announce(None);
    read.map_err(|_| NotReloaded::NotRelisted)
}

async fn read_for(rules: &Rules, feed: &Feed) {
    let mut changes = feed.changes();
    while !feed.current().workloads().all(|workload| rules.can_read(workload)) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn same(next: &[Plugin], running: &[Plugin]) -> bool {
    next.len() == running.len() && next.iter().zip(running).all(|(next, running)| next.is(running))
}

/// The plugins' files, and their signatures where signatures are checked.
fn files(config: &Config) -> BTreeSet<PathBuf> {
    let files: BTreeSet<PathBuf> = config.plugins.iter().filter_map(file).collect();
    let signed = !config.plugin_files.public_keys.is_empty();
    let signatures: Vec<PathBuf> = files.iter().filter(|_| signed).map(|file| signature_path(file)).collect();
    files.into_iter().chain(signatures).collect()
}

fn file(plugin: &config::Plugin) -> Option<PathBuf> {
    match &plugin.code {
        PluginCode::Builtin(_) => None,
        PluginCode::File { path, .. } => Some(path.clone()),
    }
}

fn is_under(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
