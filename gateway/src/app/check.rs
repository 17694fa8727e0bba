//! Opens everything that a configuration names, and so finds the errors that its text alone does not show.

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

/// The plugins that load, and the errors of everything that could not be opened.
#[derive(Debug, Default)]
pub struct Checked {
    /// Plugins that load.
    pub plugins: usize,
    /// One text for each error.
    pub errors: Vec<String>,
}

/// Opens everything and keeps nothing.
pub async fn check(config: &Config) -> Result<Checked, StartError> {
    let mut errors = Vec::new();
    if let Err(error) = Watched::open(&config.roster.source, &config.roster.node) {
        errors.push(error.to_string());
    }
    if let Some(Err(error)) = config.imds.token_key_file.as_deref().filter(|path| path.exists()).map(Keyring::of_file) {
        errors.push(format!("imds.token_key_file: {error}"));
    }
    if let Err(error) = Host::new()?.with_files(&config.plugin_files) {
        errors.push(error.to_string());
    }
    // The folder belongs to the running gateway, and its content may be of another version.
    let files = PluginFiles { compiled: None, ..config.plugin_files.clone() };
    // Only a kubeconfig that is named: the pod's own service account exists on nodes, not where configurations are
    // checked.
    if let (RosterSource::Kubernetes, Some(path)) = (&config.roster.source, &config.kubernetes.kubeconfig)
        && let Err(error) = Cluster::find(Some(path)).await
    {
        errors.push(error.to_string());
    }
    let telemetry = Telemetry::unexported()?;
    let mut plugins = 0;
    // One by one, so that the error of each plugin shows and not only the first.
    for plugin in &config.plugins {
        let mut alone = config.clone();
        alone.plugins = vec![plugin.clone()];
        alone.plugin_files = files.clone();
        match build_policy(&alone, &telemetry, Clock::system()).await {
            Ok(_) => plugins += 1,
            Err(error) => errors.push(error.to_string()),
        }
    }
    Ok(Checked { plugins, errors })
}
