//! STS clients: one transport, explicit timeouts, nothing read from the environment.

use std::{borrow::Cow, time::Duration};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_sts::{
    Client, Config,
    config::{
        AppName, BehaviorVersion, IdentityCache, Region, SharedCredentialsProvider, SharedHttpClient,
        SharedInterceptor, retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

use super::{Call, credential, fault, propagate::Propagate};
use crate::{clock::Clock, credential::FetchError, role::RoleArn};

/// The SDK's name for the legacy endpoint `https://sts.amazonaws.com` (STS endpoint rules).
pub(super) const GLOBAL: Region = Region::from_static("aws-global");

/// STS answers in 50 to 500 ms; a second attempt is worth more than a longer first one. All three together stay below
/// the keeper's own deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
/// The gateway's own identity is renewed this long before it expires.
const IDENTITY_BUFFER: Duration = Duration::from_secs(300);
/// The longest wait for the gateway's own identity: one whole operation.
const IDENTITY_TIMEOUT: Duration = OPERATION_TIMEOUT;

/// Connections, timeouts and retries, shared by all clients that are made from it.
#[derive(Clone)]
pub(in crate::source) struct Transport {
    pub(in crate::source) http: SharedHttpClient,
    pub(super) timeouts: TimeoutConfig,
    pub(super) retries: RetryConfig,
}

impl Transport {
    /// Uses no proxy: a variable meant for other programs must not send credentials through a third party.
    pub(in crate::source) fn new() -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        Self { http, timeouts, retries: RetryConfig::standard().with_max_attempts(ATTEMPTS) }
    }

    /// Without an endpoint, the client uses the region's own, in the region's partition. Without an identity, it can
    /// only make unsigned calls.
    pub(in crate::source) fn client(
        &self,
        region: Region,
        endpoint: Option<&str>,
        identity: Option<SharedCredentialsProvider>,
    ) -> Client {
        // The SDK caches and renews the identity; concurrent calls share one load.
        let identities = IdentityCache::lazy().buffer_time(IDENTITY_BUFFER).load_timeout(IDENTITY_TIMEOUT).build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .timeout_config(self.timeouts.clone())
            .retry_config(self.retries.clone())
            .identity_cache(identities)
            .region(region);
        config.push_interceptor(SharedInterceptor::new(Propagate));
        config.set_endpoint_url(endpoint.map(str::to_owned));
        config.set_credentials_provider(identity);
        // CloudTrail shows it in the user agent; the name is a valid one.
        config.set_app_name(AppName::new(Cow::Borrowed("metagate")).ok());
        Client::from_conf(config.build())
    }
}

/// The role between the gateway's identity and the workloads' roles. Provides the identity of the next client.
#[derive(Debug)]
pub(super) struct Intermediate {
    base: Client,
    arn: RoleArn,
}

impl Intermediate {
    pub(super) fn new(base: Client, arn: RoleArn) -> Self {
        Self { base, arn }
    }

    async fn assume(&self) -> provider::Result {
        let call = self.base.assume_role().role_arn(self.arn.as_str()).role_session_name("metagate");
        let answer = call.send().await.map_err(|error| fault::of(&error, Call::AssumeRole));
        own_credentials(answer.map(|output| output.credentials))
    }
}

impl ProvideCredentials for Intermediate {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

/// Assumes the gateway's own role with the gateway's own web identity token.
pub(in crate::source) async fn assume_own_role(
    sts: &Client,
    arn: &RoleArn,
    session_name: &str,
    token: &str,
) -> provider::Result {
    let call = sts.assume_role_with_web_identity().role_arn(arn.as_str()).role_session_name(session_name);
    let answer = call.web_identity_token(token).send().await;
    own_credentials(answer.map(|output| output.credentials).map_err(|error| fault::of(&error, Call::WithWebIdentity)))
}

/// The fault travels inside the SDK's error, where `fault::of` finds it again.
fn own_credentials(answer: Result<Option<aws_sdk_sts::types::Credentials>, FetchError>) -> provider::Result {
    let issued = answer
        .and_then(|issued| credential(issued, Clock::system().now()))
        .map_err(CredentialsError::provider_error)?;
    let (id, secret) = (issued.access_key_id.as_str(), issued.secret_access_key.expose());
    let token = issued.session_token.expose().to_owned();
    Ok(Credentials::new(id, secret, Some(token), Some(issued.expires_at), "metagate"))
}
