//! Builds the parts from the configuration.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{
    App, Parts, StartError, gauges,
    kubernetes::{self, Feeder, Kubernetes},
};
use crate::{
    admin::{AdminListener, AdminSettings},
    clock::Clock,
    config::{AdminListen, Config},
    connection::Timeouts,
    credential::{Keeper, KeeperSettings, Observer},
    dialect::Hosts,
    discovery::Discovery,
    handle::Gateway,
    kubernetes::events::EventSender,
    lifecycle::{Configuration, Part, Readiness},
    limits::{ConnectionLimiter, Limits},
    listen::Listener,
    plugin::{self, Host, Plugin},
    policy::{Decision, Defaults, Policy, Rules},
    relay::Relay,
    roster::fixed,
    session::Keyring,
    telemetry::Telemetry,
};

pub async fn build(config: &Config, parts: Parts) -> Result<App, StartError> {
    let clock = parts.clock.unwrap_or_else(Clock::system);
    let readiness = Readiness::default();
    let unsynced = readiness.wait_for(Part::Roster);
    let cluster = if parts.feed.is_none() { kubernetes::find(config).await? } else { None };
    let roster = if parts.feed.is_none() { Feeder::open(config, cluster.as_ref())? } else { Feeder::Elsewhere };
    let (kubernetes, events) = match &cluster {
        Some(cluster) => {
            let (kubernetes, events) = Kubernetes::new(config, cluster)?;
            (Some(kubernetes), events)
        }
        None => (None, EventSender::default()),
    };
    let telemetry = Telemetry::new(config, events)?;
    let listeners = bind_pods(config, roster.fixed())?;
    let admin = bind_admin(config).await?;
    let feed = parts.feed.unwrap_or_default();
    let relay = match parts.relay {
        Some(relay) => relay,
        None => Relay::from_config(&config.imds, Arc::new(telemetry.imds_requests()))
            .map_err(|error| StartError::Endpoint(error.to_string()))?,
    };
    let relay = Arc::new(relay);
    make_compiled(config).await?;
    let policy = Arc::new(build_policy(config, &telemetry, clock.clone()).await?);
    let (source, awaited) = match parts.source {
        Some(source) => (source, None),
        None => {
            super::source::of_config(config, &feed, cluster.as_ref(), clock.clone(), Arc::new(telemetry.sts_calls()))?
        }
    };
    let settings = KeeperSettings::from(&config.credentials);
    let observer: Arc<dyn Observer> = Arc::clone(telemetry.metrics()) as _;
    let (credentials, keeper) = Keeper::spawn(source, settings, clock.clone(), observer);
    let base_for = config.credentials.base_role_arn.is_none().then(|| Arc::clone(&policy));
    let discovery = Discovery::new(Arc::clone(&relay), base_for, awaited);
    let discovery = discovery.map(|discovery| (readiness.wait_for(Part::NodeMetadata), discovery));
    let gateway = Arc::new(Gateway {
        hosts: Hosts::new(&config.pods.hosts),
        token_mode: config.imds.token,
        keys: config.imds.token_key_file.as_deref().map_or_else(|| Ok(Keyring::ephemeral()), Keyring::of_file)?,
        feed,
        wait: config.roster.wait,
        policy,
        configuration: Configuration::started(clock.now()),
        credentials,
        allow: config.imds.allow.clone(),
        relay,
        telemetry,
        redirect_status: config.intercept.status_file.clone(),
        clock,
    });
    let limiter = ConnectionLimiter::new(Limits {
        connections: config.pods.max_connections,
        connections_each: config.pods.max_connections_per_pod,
        requests_each: config.pods.max_requests_per_second_per_pod,
    });
    gauges::watch(&gateway, &readiness, &limiter);
    Ok(App {
        gateway,
        keeper: Arc::new(keeper),
        readiness,
        listeners,
        admin,
        timeouts: Timeouts { header: config.pods.header_timeout, idle: config.pods.idle_timeout },
        limiter,
        roster,
        kubernetes,
        discovery,
        reload: None,
        settings: AdminSettings::from(config),
        unsynced,
    })
}

fn bind_pods(config: &Config, roster: Option<&fixed::Watched>) -> Result<Vec<Listener>, StartError> {
    let own = roster.into_iter().flat_map(fixed::Watched::listeners).map(|(address, uid)| (address, Some(uid)));
    let mut listeners = Vec::new();
    for (address, owner) in std::iter::once((config.pods.listen, None)).chain(own) {
        let failed = |source| StartError::Listen { address: address.to_string(), purpose: "pods", source };
        listeners.push(Listener::bind(address, owner).map_err(failed)?);
    }
    Ok(listeners)
}

async fn bind_admin(config: &Config) -> Result<AdminListener, StartError> {
    let address = match &config.admin.listen {
        AdminListen::Tcp(address) => address.to_string(),
        AdminListen::Unix(path) => path.display().to_string(),
    };
    let failed = |source| StartError::Listen { address, purpose: "admin", source };
    AdminListener::bind(&config.admin.listen).await.map_err(failed)
}

/// Policy with a configuration's plugins. `explain` and `check` need no more than this.
pub async fn build_policy(config: &Config, telemetry: &Telemetry, clock: Clock) -> Result<Policy, StartError> {
    let host = Host::new()?.with_files(&config.plugin_files)?;
    let rules = rules(&host, config, &[]).await?;
    let (metrics, traces) = (Arc::clone(telemetry.metrics()), telemetry.traces().clone());
    let observe = move |decision: &Decision| {
        metrics.decision(decision);
        traces.decision(decision);
    };
    Ok(Policy::new(host, rules, clock, Box::new(observe)))
}

/// Creates what `plugin_files` names, where it is missing.
pub(super) async fn make_compiled(config: &Config) -> Result<(), StartError> {
    let Some(compiled) = config.plugin_files.compiled.clone() else { return Ok(()) };
    Ok(spawn_blocking(move || plugin::make_compiled(&compiled)).await.map_err(StartError::Interrupted)??)
}

/// Loads the plugins concurrently. A custom plugin is compiled here, unless it is among those that run. Its file must
/// be as this configuration requires.
pub(super) async fn rules(host: &Host, config: &Config, running: &[Plugin]) -> Result<Rules, StartError> {
    let (host, files) = (host.clone(), config.plugin_files.clone());
    let host = spawn_blocking(move || host.with_files(&files)).await.map_err(StartError::Interrupted)??;
    let mut loading = Vec::new();
    for plugin in config.plugins.clone() {
        let (host, running) = (host.clone(), running.to_vec());
        loading.push(tokio::spawn(async move { Plugin::load_reusing(&running, &host, plugin).await }));
    }
    let mut plugins = Vec::new();
    for plugin in loading {
        plugins.push(plugin.await.map_err(StartError::Interrupted)??);
    }
    let defaults = Defaults {
        mode: config.policy.mode,
        base: config.credentials.base_role_arn.clone(),
        role: config.policy.default_role.clone(),
        session_name: config.credentials.session_name.clone(),
        session_duration: config.credentials.session_duration,
        session_tags: config.credentials.session_tags,
    };
    Ok(Rules::new(plugins, defaults))
}
