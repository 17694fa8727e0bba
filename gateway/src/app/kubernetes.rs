//! What the gateway does at the API server besides its watches, and what feeds the roster.

use std::sync::Arc;

use ::kube::Client;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::{
    config::{Config, RosterSource},
    handle::Gateway,
    kubernetes::{
        Cluster,
        events::{EventSender, PodEvent, run as publish_events},
        remove_when_ready,
    },
    lifecycle::Readiness,
    roster::{fixed, kube},
};

/// Where the roster comes from.
pub(super) enum Feeder {
    /// From the program that embeds the gateway.
    Elsewhere,
    Fixed(fixed::Watched),
    Kubernetes(kube::Watched),
}

impl Feeder {
    pub(super) fn open(config: &Config, cluster: Option<&Cluster>) -> Result<Self, StartError> {
        let node = &config.roster.node;
        if let Some(cluster) = cluster {
            return Ok(Self::Kubernetes(kube::Watched::new(cluster.clone(), node)?));
        }
        let opened = fixed::Watched::open(&config.roster.source, node).map_err(StartError::Roster)?;
        Ok(opened.map_or(Self::Elsewhere, Self::Fixed))
    }

    /// The fixed roster, whose workloads may have listeners of their own.
    pub(super) fn fixed(&self) -> Option<&fixed::Watched> {
        match self {
            Self::Fixed(watched) => Some(watched),
            Self::Elsewhere | Self::Kubernetes(_) => None,
        }
    }

    pub(super) fn spawn(self, parts: &mut JoinSet<()>, gateway: &Arc<Gateway>, stop: &CancellationToken) {
        let (feed, clock, stop) = (Arc::clone(&gateway.feed), gateway.clock.clone(), stop.clone());
        match self {
            Self::Elsewhere => {}
            Self::Fixed(watched) => {
                let metrics = Arc::clone(gateway.telemetry.metrics());
                let reloaded = move |accepted| metrics.reload("roster", accepted);
                parts.spawn(watched.run(feed, clock, reloaded, stop));
            }
            Self::Kubernetes(watched) => {
                let policy = Arc::clone(&gateway.policy);
                let events = gateway.telemetry.events().clone();
                let rules = policy.changes();
                let context = kube::Context { clock, events, interest: Box::new(move || policy.interest()), rules };
                parts.spawn(watched.run(feed, context, stop));
            }
        }
    }
}

/// Events and the startup taint.
pub(super) struct Kubernetes {
    client: Client,
    node: String,
    events: Option<mpsc::Receiver<PodEvent>>,
    startup_taint: Option<String>,
}

/// None where the roster does not come from an API server.
pub(super) async fn find(config: &Config) -> Result<Option<Cluster>, StartError> {
    match config.roster.source {
        RosterSource::Kubernetes => {
            let found = Cluster::find(config.kubernetes.kubeconfig.as_deref()).await;
            Ok(Some(found.map_err(kube::OpenError::Cluster)?))
        }
        RosterSource::Fixed { .. } | RosterSource::Sandbox => Ok(None),
    }
}

impl Kubernetes {
    /// Also returns the sender for Events of refusals.
    pub(super) fn new(config: &Config, cluster: &Cluster) -> Result<(Self, EventSender), StartError> {
        let client = cluster.client().map_err(kube::OpenError::Cluster)?;
        let (sender, receiver) = match config.kubernetes.events {
            true => {
                let (sender, receiver) = EventSender::channel();
                (sender, Some(receiver))
            }
            false => (EventSender::default(), None),
        };
        let startup_taint = config.kubernetes.startup_taint.clone();
        Ok((Self { client, node: config.roster.node.clone(), events: receiver, startup_taint }, sender))
    }

    pub(super) fn spawn(self, parts: &mut JoinSet<()>, readiness: &Readiness, stop: &CancellationToken) {
        let Self { client, node, events, startup_taint } = self;
        if let Some(events) = events {
            parts.spawn(publish_events(client.clone(), node.clone(), events, stop.clone()));
        }
        if let Some(taint) = startup_taint {
            parts.spawn(remove_when_ready(client, node, taint, readiness.clone(), stop.clone()));
        }
    }
}
