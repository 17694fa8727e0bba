//! Everything that a configuration names, opened once: what a file's text alone cannot tell.

use super::{StartError, build_policy};
use crate::{
    clock::Clock,
    config::{Config, PluginFiles, RosterSource},
    kubernetes::Cluster,
    plugin::Host,
    roster::fixed::Watched,
    session::Keyring,
    telemetry::Telemetry,
};

/// What was opened, and what could not be.
#[derive(Debug, Default)]
pub struct Checked {
    /// Plugins that load.
    pub plugins: usize,
    /// Each for a person.
    pub faults: Vec<String>,
}

/// Opens it all and keeps none of it.
pub async fn check(config: &Config) -> Result<Checked, StartError> {
    let mut faults = Vec::new();
    if let Err(error) = Watched::open(&config.roster.source, &config.roster.node) {
        faults.push(error.to_string());
    }
    if let Some(Err(error)) = config.imds.token_key_file.as_deref().filter(|path| path.exists()).map(Keyring::of_file) {
        faults.push(format!("imds.token_key_file: {error}"));
    }
    if let Err(error) = Host::new()?.with_files(&config.plugin_files) {
        faults.push(error.to_string());
    }
    // What is kept there is the running gateway's, and may be of another version.
    let files = PluginFiles { compiled: None, ..config.plugin_files.clone() };
    // Only one that is named: what stands in for it is there on nodes, not where configurations are checked.
    if let (RosterSource::Kubernetes, Some(path)) = (&config.roster.source, &config.kubernetes.kubeconfig)
        && let Err(error) = Cluster::find(Some(path)).await
    {
        faults.push(error.to_string());
    }
    let telemetry = Telemetry::unexported()?;
    let mut plugins = 0;
    // One by one: each plugin's fault is told, not only the first.
    for plugin in &config.plugins {
        let mut alone = config.clone();
        alone.plugins = vec![plugin.clone()];
        alone.plugin_files = files.clone();
        match build_policy(&alone, &telemetry, Clock::system()).await {
            Ok(_) => plugins += 1,
            Err(error) => faults.push(error.to_string()),
        }
    }
    Ok(Checked { plugins, faults })
}
