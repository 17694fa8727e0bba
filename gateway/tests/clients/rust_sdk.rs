//! The Rust SDK with its own timeouts, retries and caches. It runs in this process, so it gets as arguments what the other
//! clients read from an environment; it still reads AWS_EC2_METADATA_DISABLED from this process's environment.

use std::sync::{Arc, Mutex};

use aws_config::{
    imds::{self, credentials::ImdsCredentialsProvider, region::ImdsRegionProvider},
    provider_config::ProviderConfig,
};
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_sts::{
    config::{BehaviorVersion, Region},
    error::DisplayErrorContext,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

pub(crate) struct RustSdk {
    sts: aws_sdk_sts::Client,
    region: ImdsRegionProvider,
    key: Arc<Mutex<String>>,
}

/// Notes the access key that the provider gave last.
#[derive(Debug)]
struct Recording {
    provider: ImdsCredentialsProvider,
    key: Arc<Mutex<String>>,
}

impl ProvideCredentials for Recording {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }

    // The SDK's static stability: what is given while the service does not answer.
    fn fallback_on_interrupt(&self) -> Option<aws_credential_types::Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

impl Recording {
    async fn provide(&self) -> provider::Result {
        let credentials = self.provider.provide_credentials().await?;
        credentials.access_key_id().clone_into(&mut self.key.lock().unwrap());
        Ok(credentials)
    }
}

impl RustSdk {
    pub(crate) fn new(endpoint: &str, sts: &str) -> Self {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = ProviderConfig::without_region().with_http_client(http.clone());
        let service = imds::Client::builder().configure(&config).endpoint(endpoint).unwrap().build();
        let provider = ImdsCredentialsProvider::builder().configure(&config).imds_client(service.clone()).build();
        let region = ImdsRegionProvider::builder().configure(&config).imds_client(service).build();
        let key = Arc::new(Mutex::new(String::new()));
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::from_static("us-east-1"))
            .endpoint_url(sts)
            .credentials_provider(Recording { provider, key: Arc::clone(&key) })
            .build();
        Self { sts: aws_sdk_sts::Client::from_conf(config), region, key }
    }

    /// The ARN, and the access key.
    pub(crate) async fn identity(&self) -> Result<(String, String), String> {
        match self.sts.get_caller_identity().send().await {
            Ok(caller) => Ok((caller.arn().unwrap().to_owned(), self.key.lock().unwrap().clone())),
            Err(error) => Err(DisplayErrorContext(error).to_string()),
        }
    }

    pub(crate) async fn region(&self) -> Result<String, String> {
        self.region.region().await.map(|region| region.to_string()).ok_or_else(|| "no region".to_owned())
    }

    /// `aws-config` as Cargo.lock has it.
    pub(crate) fn version() -> String {
        let lock = include_str!("../../../Cargo.lock");
        let (_, package) = lock.split_once("name = \"aws-config\"\nversion = \"").unwrap();
        package.split_once('"').unwrap().0.to_owned()
    }
}
