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

/// The API server ends a request that is no watch after 60 s (its --request-timeout), and answers a watch at once.
const ANSWER: Duration = Duration::from_secs(65);
/// Silence on a connection. Longer than a watch lasts (60 s, see `roster::kube`), which may be silent throughout.
const SILENCE: Duration = Duration::from_secs(90);

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

    /// A client that calls `heard` whenever the API server has answered with success, and that waits for no answer for
    /// ever: a connection to a server that is gone without a word looks like one to a server that thinks.
    pub fn client_that_hears(&self, heard: impl Fn() + Clone + Send + 'static) -> Result<Client, ClusterError> {
        let builder = ClientBuilder::try_from((*self.0).clone()).map_err(ClusterError::Client)?;
        let told = tower::util::MapResponseLayer::new(move |response: http::Response<_>| {
            if response.status().is_success() {
                heard();
            }
            response
        });
        let in_time = tower::util::MapFutureLayer::new(in_time);
        Ok(builder.with_layer(&told).with_layer(&in_time).build())
    }

    /// Where it is, for a person.
    pub fn url(&self) -> String {
        self.0.cluster_url.to_string()
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn in_time<T, E: Into<Failed>>(answer: impl Future<Output = Result<T, E>>) -> Result<T, Failed> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(format!("the API server did not answer within {ANSWER:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_a_failure() {
        let never = in_time(std::future::pending::<Result<(), std::io::Error>>());
        assert!(never.await.unwrap_err().to_string().contains("did not answer"));
        assert!(in_time(async { Ok::<_, std::io::Error>(()) }).await.is_ok());
    }
}
