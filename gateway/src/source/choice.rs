//! The source that the configuration names.

use std::sync::Arc;

use super::{
    Awaited, IdentityError, IdentitySettings, SandboxSource, Source, StsSettings, StsSource, TokenFiles, TokenRequests,
    TokenSupplier, base_identity,
};
use crate::{
    clock::Clock,
    cluster::{Cluster, ClusterError},
    config::{Config, CredentialsSource},
    credential::Subject,
    roster::{Feed, Standing},
    telemetry::StsCalls,
};

/// What waits for the node's region.
pub type OnRegion = Box<dyn FnOnce(String) + Send>;

#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The source, and who must be told the region once it is known, where the configuration does not say it.
pub fn of_config(
    config: &Config,
    feed: &Arc<Feed>,
    cluster: Option<&Cluster>,
    clock: Clock,
    calls: StsCalls,
) -> Result<(Arc<dyn Source>, Option<OnRegion>), ChoiceError> {
    if config.credentials.source == CredentialsSource::Sandbox {
        return Ok((Arc::new(SandboxSource::new(clock)), None));
    }
    // A fault in the identity's settings is told at start, whether the region is known by then or not.
    base_identity(&identity(config, String::new()))?;
    let tokens = tokens(feed, cluster)?;
    let config = config.clone();
    match config.credentials.region.clone() {
        Some(region) => Ok((sts(&config, region, tokens, clock, calls)?, None)),
        None => {
            let awaited = Arc::new(Awaited::default());
            let waiting = Arc::clone(&awaited);
            let found = move |region| match sts(&config, region, tokens, clock, calls) {
                Ok(source) => waiting.found(source),
                Err(error) => tracing::error!(%error, "no credentials can be had"),
            };
            Ok((awaited, Some(Box::new(found))))
        }
    }
}

/// The API server makes web identity tokens; without one they lie in files.
fn tokens(feed: &Arc<Feed>, cluster: Option<&Cluster>) -> Result<Arc<dyn TokenSupplier>, ClusterError> {
    if let Some(cluster) = cluster {
        return Ok(Arc::new(TokenRequests::new(cluster.client()?)));
    }
    let feed = Arc::clone(feed);
    Ok(Arc::new(TokenFiles::new(move |subject: &Subject| match feed.current().of_uid(&subject.uid) {
        Standing::Known(workload) => workload.token_file.clone(),
        Standing::Ambiguous | Standing::Unknown | Standing::Absent => None,
    })))
}

fn sts(
    config: &Config,
    region: String,
    tokens: Arc<dyn TokenSupplier>,
    clock: Clock,
    calls: StsCalls,
) -> Result<Arc<dyn Source>, IdentityError> {
    Ok(Arc::new(StsSource::new(StsSettings {
        identity: base_identity(&identity(config, region.clone()))?,
        region,
        endpoint: config.credentials.sts_endpoint.clone(),
        assume_role_arn: config.credentials.assume_role_arn.clone(),
        tokens,
        clock,
        calls,
    })))
}

pub(super) fn identity(config: &Config, region: String) -> IdentitySettings {
    IdentitySettings {
        identity: config.credentials.identity,
        region,
        sts_endpoint: config.credentials.sts_endpoint.clone(),
        imds_endpoint: config.imds.endpoint.clone(),
    }
}
