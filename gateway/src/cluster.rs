//! The API server, and how it is reached.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::kube::{
    Client, Config,
    client::ClientBuilder,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// An API server in the same network answers in milliseconds; a dead one is found out soon.
const CONNECT: Duration = Duration::from_secs(5);

/// An answer that never comes is given up. A watch is ended by the server itself after 290 s, and bookmarks come each minute.
const SILENCE: Duration = Duration::from_secs(300);

/// Where the API server is and who asks it. Making one talks to nobody.
#[derive(Clone)]
pub struct Cluster(Arc<Config>);

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("kubernetes.kubeconfig: {path}: {source}")]
    Kubeconfig { path: PathBuf, source: KubeconfigError },
    #[error(
        "no API server is known: not in a pod with a service account's token, and no kubeconfig: {0}; name one in \
         kubernetes.kubeconfig, or use roster.source = \"fixed\""
    )]
    Nowhere(Box<InferConfigError>),
    #[error("the API server cannot be spoken to: {0}")]
    Client(::kube::Error),
}

impl Cluster {
    /// `kubeconfig`, or else KUBECONFIG, `~/.kube/config`, or the pod's own service account.
    pub async fn find(kubeconfig: Option<&Path>) -> Result<Self, ClusterError> {
        let mut config = match kubeconfig {
            Some(path) => {
                let failed = |source| ClusterError::Kubeconfig { path: path.to_owned(), source };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)?
            }
            None => Config::infer().await.map_err(|error| ClusterError::Nowhere(Box::new(error)))?,
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        // Watches, the keeper and events each have a pace of their own; the client's would wait for up to 1,000 s.
        config.default_retry = false;
        Ok(Self(Arc::new(config)))
    }

    pub fn client(&self) -> Result<Client, ClusterError> {
        Client::try_from((*self.0).clone()).map_err(ClusterError::Client)
    }

    /// A client that calls `heard` whenever the API server has answered with success.
    pub fn client_that_hears(&self, heard: impl Fn() + Clone + Send + 'static) -> Result<Client, ClusterError> {
        let builder = ClientBuilder::try_from((*self.0).clone()).map_err(ClusterError::Client)?;
        let told = tower::util::MapResponseLayer::new(move |response: http::Response<_>| {
            if response.status().is_success() {
                heard();
            }
            response
        });
        Ok(builder.with_layer(&told).build())
    }

    /// Where it is, for a person.
    pub fn url(&self) -> String {
        self.0.cluster_url.to_string()
    }
}
