//! The Rust SDK's metadata provider, with its own timeouts and retries. It runs in this process, so it gets as
//! arguments what the other clients read from an environment; it still reads AWS_EC2_METADATA_DISABLED from this
//! process's environment.

use aws_config::{
    imds::{self, credentials::ImdsCredentialsProvider},
    provider_config::ProviderConfig,
};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use aws_sdk_sts::config::{BehaviorVersion, Region};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// Like [`crate::client::Client::who_am_i`].
pub(crate) async fn who_am_i(endpoint: &str, sts: &str) -> Option<String> {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = ProviderConfig::without_region().with_http_client(http.clone());
    let service = imds::Client::builder().configure(&config).endpoint(endpoint).unwrap().build();
    let provider = ImdsCredentialsProvider::builder().configure(&config).imds_client(service).build();
    let credentials = match provider.provide_credentials().await {
        Ok(credentials) => credentials,
        Err(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::ProviderError(_)) => return None,
        Err(error) => panic!("{error:?}"),
    };
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::from_static("us-east-1"))
        .endpoint_url(sts)
        .credentials_provider(credentials)
        .build();
    let answer = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await.unwrap();
    Some(answer.arn().unwrap().to_owned())
}
