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

/// An API server in the same network answers in milliseconds; a dead one is detected soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The API server ends a request that is not a watch after 60 s (its --request-timeout), and answers a watch at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(65);
/// The longest silence on a connection. Longer than a watch lasts (60 s, see `roster::kube`), which may be silent
/// throughout.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The API server's address and the credentials for it. Making one opens no connection.
#[derive(Clone)]
pub struct Cluster(Arc<Config>);

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("kubernetes.kubeconfig: {path}: {source}")]
    Kubeconfig { path: PathBuf, source: KubeconfigError },
    #[error(
        "no API server is known: this is not a pod with a service account's token, and there is no kubeconfig: {0}; \
         set kubernetes.kubeconfig, or use roster.source = \"fixed\""
    )]
    Nowhere(Box<InferConfigError>),
    #[error("cannot make a client for the API server: {0}")]
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
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        // Watches, the keeper and Events have backoffs of their own; the client's would wait for up to 1,000 s.
        config.default_retry = false;
        Ok(Self(Arc::new(config)))
    }

    pub fn client(&self) -> Result<Client, ClusterError> {
        Client::try_from((*self.0).clone()).map_err(ClusterError::Client)
    }

    /// A client that calls `on_success` whenever the API server has answered with success. No request waits for ever: a
    /// connection to a server that died silently looks like one to a server that is slow.
    pub fn client_with_callback(&self, on_success: impl Fn() + Clone + Send + 'static) -> Result<Client, ClusterError> {
        let builder = ClientBuilder::try_from((*self.0).clone()).map_err(ClusterError::Client)?;
        let callback = tower::util::MapResponseLayer::new(move |response: http::Response<_>| {
            if response.status().is_success() {
                on_success();
            }
            response
        });
        let in_time = tower::util::MapFutureLayer::new(in_time);
        Ok(builder.with_layer(&callback).with_layer(&in_time).build())
    }

    /// The API server's URL, for a person.
    pub fn url(&self) -> String {
        self.0.cluster_url.to_string()
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn in_time<T, E: Into<Failed>>(answer: impl Future<Output = Result<T, E>>) -> Result<T, Failed> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(format!("the API server did not answer within {ANSWER_TIMEOUT:?}").into()),
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
