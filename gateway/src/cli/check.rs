//! `metagate check`

use std::process::ExitCode;

use metagate::{
    app, clock::Clock, cluster::Cluster, config::RosterSource, events::Notices, roster::fixed::Watched,
    session::Keyring, telemetry::Telemetry,
};

use super::{BAD_CONFIG, ConfigArgs, Failure, block_on, print, tell};

/// The file's own faults first; where there are none, everything that the file names is opened too.
pub(super) fn run(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    let config = args.load()?.config;
    let mut faults = Vec::new();
    if let Err(error) = app::supported(&config) {
        faults.push(error.to_string());
    }
    if let Err(error) = Watched::open(&config.roster.source, &config.roster.node) {
        faults.push(error.to_string());
    }
    if let Some(Err(error)) = config.imds.token_key_file.as_deref().filter(|path| path.exists()).map(Keyring::of_file) {
        faults.push(format!("imds.token_key_file: {error}"));
    }
    let loaded = block_on(async {
        // Only one that is named: what stands in for it is there on nodes, not where configurations are checked.
        if let (RosterSource::Kubernetes, Some(path)) = (&config.roster.source, &config.kubernetes.kubeconfig)
            && let Err(error) = Cluster::find(Some(path)).await
        {
            faults.push(error.to_string());
        }
        let telemetry = Telemetry::new(Notices::default()).map_err(app::StartError::from)?;
        let mut plugins = 0;
        // One by one: each plugin's fault is told, not only the first.
        for plugin in &config.plugins {
            let mut alone = config.clone();
            alone.plugins = vec![plugin.clone()];
            match app::build_policy(&alone, &telemetry, Clock::system()).await {
                Ok(_) => plugins += 1,
                Err(error) => faults.push(error.to_string()),
            }
        }
        Ok::<_, Failure>(plugins)
    })?;
    if faults.is_empty() {
        print(&format!("ok: the configuration is right, and {loaded} plugins load"));
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        tell(fault);
    }
    Ok(ExitCode::from(BAD_CONFIG))
}
