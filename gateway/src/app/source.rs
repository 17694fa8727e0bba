//! The source that the configuration names.

use std::sync::Arc;

use crate::{
    clock::Clock,
    config::{Config, CredentialsSource},
    credential::Source,
    credential_key::Subject,
    discovery::OnRegion,
    kubernetes::{Cluster, ClusterError},
    roster::{Feed, Standing},
    source::{
        Awaited, IdentityError, IdentitySettings, SandboxSource, StsObserver, StsSettings, StsSource, TokenFiles,
        TokenRequests, TokenSupplier, base_identity,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The source; and the callback for the region once it is known, where the configuration does not name one.
pub(super) fn of_config(
    config: &Config,
    feed: &Arc<Feed>,
    cluster: Option<&Cluster>,
    clock: Clock,
    observer: Arc<dyn StsObserver>,
) -> Result<(Arc<dyn Source>, Option<OnRegion>), ChoiceError> {
    if config.credentials.source == CredentialsSource::Sandbox {
        return Ok((Arc::new(SandboxSource::new(clock)), None));
    }
    // An error in the identity's settings is found at start, whether the region is known by then or not.
    base_identity(&IdentitySettings::of(config, String::new()))?;
    let tokens = tokens(feed, cluster)?;
    let config = config.clone();
    match config.credentials.region.clone() {
        Some(region) => Ok((sts(&config, region, tokens, clock, observer)?, None)),
        None => {
            let awaited = Arc::new(Awaited::default());
            let waiting = Arc::clone(&awaited);
            let found = move |region| match sts(&config, region, tokens, clock, observer) {
                Ok(source) => waiting.found(source),
                Err(error) => tracing::error!(%error, "no credentials can be had"),
            };
            Ok((awaited, Some(Box::new(found))))
        }
    }
}

/// The API server issues web identity tokens; without an API server they are read from files.
fn tokens(feed: &Arc<Feed>, cluster: Option<&Cluster>) -> Result<Arc<dyn TokenSupplier>, ClusterError> {
    if let Some(cluster) = cluster {
        return Ok(Arc::new(TokenRequests::new(cluster.client()?)));
    }
    let feed = Arc::clone(feed);
    Ok(Arc::new(TokenFiles::new(move |subject: &Subject| match feed.current().of_uid(&subject.uid) {
        Standing::Known(entry) => entry.workload.token_file.clone(),
        Standing::Ambiguous | Standing::Unknown | Standing::Absent => None,
    })))
}

fn sts(
    config: &Config,
    region: String,
    tokens: Arc<dyn TokenSupplier>,
    clock: Clock,
    observer: Arc<dyn StsObserver>,
) -> Result<Arc<dyn Source>, IdentityError> {
    Ok(Arc::new(StsSource::new(StsSettings {
        identity: base_identity(&IdentitySettings::of(config, region.clone()))?,
        region,
        endpoint: config.credentials.sts_endpoint.clone(),
        assume_role_arn: config.credentials.assume_role_arn.clone(),
        tokens,
        clock,
        observer,
    })))
}
