//! Builds every part in dependency order, binds, starts, stops.
//!
//! Building can fail and changes nothing; running cannot fail and ends when it is stopped.

mod build;
mod check;
mod gauges;
mod kubernetes;
mod reload;
mod source;

pub use build::{build, build_policy};
pub use check::{Checked, check};
pub use reload::Reload;
pub use source::ChoiceError;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use self::kubernetes::{Feeder, Kubernetes};
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, Admin, AdminListener, AdminSettings},
    clock::Clock,
    connection::{self, Drain, Serving, Timeouts},
    credential::{KeeperHandle, Source},
    discovery::Discovery,
    handle::Gateway,
    key_file::KeyFileError,
    lifecycle::{Readiness, Waiting},
    limits::ConnectionLimiter,
    listen::Listener,
    plugin::{CompiledError, HostError, LoadError},
    prefetch,
    relay::Relay,
    roster::{Feed, fixed, kube},
    telemetry::MetricsError,
};

/// Requests in flight get this long to finish once the gateway is stopped. Kubernetes gives 30 s in all.
const DRAIN: Duration = Duration::from_secs(10);

/// Bound and complete, but not running yet.
pub struct App {
    gateway: Arc<Gateway>,
    keeper: Arc<KeeperHandle>,
    readiness: Readiness,
    listeners: Vec<Listener>,
    admin: AdminListener,
    timeouts: Timeouts,
    limiter: ConnectionLimiter,
    roster: Feeder,
    kubernetes: Option<Kubernetes>,
    discovery: Option<(Waiting, Discovery)>,
    reload: Option<Reload>,
    settings: AdminSettings,
    /// Dropped at the roster's first sync.
    unsynced: Waiting,
}

/// Parts that tests and embedders supply in place of those that the configuration names.
#[derive(Default)]
pub struct Parts {
    pub clock: Option<Clock>,
    pub source: Option<Arc<dyn Source>>,
    /// The feed of workloads and of their changes.
    pub feed: Option<Arc<Feed>>,
    pub relay: Option<Relay>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} for {purpose}: {source}; is another gateway running?")]
    Listen { address: String, purpose: &'static str, source: io::Error },
    #[error("{0}")]
    Roster(fixed::OpenError),
    #[error(transparent)]
    Kubernetes(#[from] kube::OpenError),
    #[error("imds.token_key_file: {0}")]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    Engine(#[from] HostError),
    #[error(transparent)]
    Compiled(#[from] CompiledError),
    #[error(transparent)]
    Plugin(#[from] LoadError),
    #[error(transparent)]
    Source(#[from] ChoiceError),
    #[error("imds.endpoint: {0}")]
    Endpoint(String),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("loading a plugin was interrupted: {0}")]
    Interrupted(tokio::task::JoinError),
}

impl App {
    /// The addresses where pods are answered. The first is `pods.listen`; the others belong to one workload each.
    pub fn pods_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// `http://ADDRESS` or `unix:PATH`.
    pub fn admin_address(&self) -> String {
        self.admin.to_string()
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Reloads the configuration and the plugin files on SIGHUP and when they change.
    pub fn reloading(self, reload: Reload) -> Self {
        Self { reload: Some(reload), ..self }
    }

    /// Serves until `stop`, then lets requests in flight finish.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            gateway,
            keeper,
            readiness,
            listeners,
            admin,
            timeouts,
            limiter,
            roster,
            kubernetes,
            discovery,
            reload,
            settings,
            unsynced,
        } = self;
        // Background parts end last: a request that is being drained may still need them.
        let background = CancellationToken::new();
        let mut parts = JoinSet::new();
        parts.spawn(prefetch::run(
            Arc::clone(&gateway.feed),
            Arc::clone(&gateway.policy),
            Arc::clone(&keeper),
            gateway.telemetry.events().clone(),
            background.clone(),
        ));
        let traffic = gateway.telemetry.metrics().traffic().clone();
        parts.spawn(traffic.follow(background.clone()));
        parts.spawn(first_sync(Arc::clone(&gateway.feed), unsynced));
        roster.spawn(&mut parts, &gateway, &background);
        if let Some(kubernetes) = kubernetes {
            kubernetes.spawn(&mut parts, &readiness, &background);
        }
        if let Some(reload) = reload {
            parts.spawn(reload.follow(Arc::clone(&gateway), background.clone()));
        }
        if let Some((waiting, discovery)) = discovery {
            parts.spawn(discovery.run(waiting));
        }
        let state = Admin::new(Arc::clone(&gateway), Arc::clone(&keeper), readiness, settings);
        parts.spawn(admin::run(Arc::new(state), admin, background.clone()));
        let connections = TaskTracker::new();
        let drain = Drain::default();
        let serving = Arc::new(Serving { gateway: Arc::clone(&gateway), timeouts, drain: drain.clone() });
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(Arc::clone(&serving), listener, limiter.clone(), connections.clone(), stop.clone()));
        }
        until_stopped(&mut parts, &stop).await;
        drain.begin();
        accepting.join_all().await;
        connections.close();
        if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "stopping with requests under way");
        }
        background.cancel();
        parts.shutdown().await;
        keeper.stop().await;
        gateway.telemetry.flush().await;
    }
}

/// Parts may end by themselves. A part that panics stops the gateway, as nobody would notice its absence until it is
/// needed.
async fn until_stopped(parts: &mut JoinSet<()>, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            ended = parts.join_next(), if !parts.is_empty() => {
                if let Some(Err(error)) = ended {
                    tracing::error!(%error, "a part of the gateway ended badly; stopping");
                    stop.cancel();
                }
            }
        }
    }
}

async fn accept(
    serving: Arc<Serving>,
    listener: Listener,
    limiter: ConnectionLimiter,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let (stream, origin, permit) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept(&limiter) => accepted,
        };
        connections.spawn(connection::serve(Arc::clone(&serving), stream, origin, permit));
    }
}

async fn first_sync(feed: Arc<Feed>, waiting: Waiting) {
    let mut changes = feed.changes();
    while feed.current().synced_at().is_none() {
        if changes.changed().await.is_err() {
            return;
        }
    }
    drop(waiting);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_stops_the_gateway_even_after_another_ended_well() {
        let mut parts = JoinSet::new();
        parts.spawn(async {});
        parts.spawn(async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        let stop = CancellationToken::new();
        until_stopped(&mut parts, &stop).await;
        assert!(stop.is_cancelled());
    }
}
