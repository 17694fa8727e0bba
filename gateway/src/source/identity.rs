//! The gateway's own AWS identity. It has one configured origin and never uses the SDK's default chain: on a node whose
//! metadata traffic is redirected, that chain would end at this very gateway.

use std::{env, path::PathBuf, time::Duration};

use aws_config::{
    environment::EnvironmentVariableCredentialsProvider,
    imds::{self, credentials::ImdsCredentialsProvider},
    provider_config::ProviderConfig,
};
use aws_credential_types::provider::{
    self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use aws_sdk_sts::{Client, config::Region};

use crate::{
    config::{Config, Identity, ImdsEndpoint},
    credential::FetchError,
    role::{ArnError, RoleArn, SessionName, SessionNameError},
    source::{
        sts::{Transport, assume_own_role},
        web_identity::read_token,
    },
};

const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE_ARN: &str = "AWS_ROLE_ARN";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
/// The node's own metadata service answers within milliseconds, or not at all.
const IMDS_TIMEOUT: Duration = Duration::from_secs(1);
const IMDS_ATTEMPTS: u32 = 4;

pub struct IdentitySettings {
    pub identity: Identity,
    pub region: String,
    pub sts_endpoint: Option<String>,
    pub imds_endpoint: ImdsEndpoint,
}

impl IdentitySettings {
    pub fn of(config: &Config, region: String) -> Self {
        Self {
            identity: config.credentials.identity,
            region,
            sts_endpoint: config.credentials.sts_endpoint.clone(),
            imds_endpoint: config.imds.endpoint.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("credentials.identity needs the environment variable {0}; set it, or choose another identity")]
    Unset(&'static str),
    #[error("the environment variable AWS_ROLE_ARN {0}")]
    RoleArn(#[from] ArnError),
    #[error("the environment variable AWS_ROLE_SESSION_NAME {0}")]
    SessionName(#[from] SessionNameError),
    #[error(
        "the simulated instance of imds.endpoint = \"sandbox\" has no role; set credentials.identity or imds.endpoint"
    )]
    Sandbox,
    #[error("imds.endpoint {0:?} is not an address; write it as http://HOST or http://HOST:PORT")]
    Endpoint(String),
}

/// Makes the provider, and does not call it yet.
pub fn base_identity(settings: &IdentitySettings) -> Result<SharedCredentialsProvider, IdentityError> {
    let lookup = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    Ok(match Origin::choose(settings, lookup)? {
        Origin::Environment => SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()),
        Origin::WebIdentity { token_file, role_arn, session_name } => {
            let region = Region::new(settings.region.clone());
            let sts = Transport::new().client(region, settings.sts_endpoint.as_deref(), None);
            SharedCredentialsProvider::new(OwnToken { sts, token_file, role_arn, session_name })
        }
        Origin::Imds { endpoint } => SharedCredentialsProvider::new(instance_role(&endpoint)?),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Environment,
    WebIdentity { token_file: PathBuf, role_arn: RoleArn, session_name: SessionName },
    Imds { endpoint: String },
}

impl Origin {
    fn choose(settings: &IdentitySettings, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, IdentityError> {
        let identity = match settings.identity {
            Identity::Auto if lookup(KEY_ID).is_some() => Identity::Environment,
            Identity::Auto if lookup(TOKEN_FILE).is_some() => Identity::WebIdentity,
            Identity::Auto => Identity::Imds,
            chosen => chosen,
        };
        let need = |name: &'static str| lookup(name).ok_or(IdentityError::Unset(name));
        match (identity, &settings.imds_endpoint) {
            (Identity::Environment, _) => need(KEY_ID).map(|_| Self::Environment),
            (Identity::WebIdentity, _) => Ok(Self::WebIdentity {
                token_file: need(TOKEN_FILE)?.into(),
                role_arn: need(ROLE_ARN)?.parse()?,
                session_name: lookup(SESSION_NAME).as_deref().unwrap_or("metagate").parse()?,
            }),
            (Identity::Auto | Identity::Imds, ImdsEndpoint::Http(endpoint)) => {
                Ok(Self::Imds { endpoint: endpoint.clone() })
            }
            (Identity::Auto | Identity::Imds, ImdsEndpoint::Sandbox) => Err(IdentityError::Sandbox),
        }
    }
}

/// The node's role. The endpoint is the configured one, whatever `AWS_EC2_METADATA_SERVICE_ENDPOINT` says.
fn instance_role(endpoint: &str) -> Result<ImdsCredentialsProvider, IdentityError> {
    let config = ProviderConfig::without_region().with_http_client(Transport::new().http);
    let client = imds::Client::builder()
        .configure(&config)
        .connect_timeout(IMDS_TIMEOUT)
        .read_timeout(IMDS_TIMEOUT)
        .max_attempts(IMDS_ATTEMPTS)
        .endpoint(endpoint)
        .map_err(|_| IdentityError::Endpoint(endpoint.to_owned()))?
        .build();
    Ok(ImdsCredentialsProvider::builder().configure(&config).imds_client(client).build())
}

/// The gateway's own web identity. The SDK's provider is not used: it does not know `credentials.sts_endpoint`, which a
/// cluster without internet access depends on.
#[derive(Debug)]
struct OwnToken {
    sts: Client,
    token_file: PathBuf,
    role_arn: RoleArn,
    session_name: SessionName,
}

impl OwnToken {
    async fn assume(&self) -> provider::Result {
        let token = read_token(&self.token_file).await.map_err(FetchError::from);
        let token = token.map_err(CredentialsError::provider_error)?;
        assume_own_role(&self.sts, &self.role_arn, self.session_name.as_str(), token.expose()).await
    }
}

impl ProvideCredentials for OwnToken {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::source::sts::fake::{FakeServer, Reply, issued};

    fn settings(identity: Identity) -> IdentitySettings {
        IdentitySettings {
            identity,
            region: "eu-central-1".into(),
            sts_endpoint: None,
            imds_endpoint: ImdsEndpoint::Http("http://127.0.0.1:1".into()),
        }
    }

    fn choose(identity: Identity, set: &[(&str, &str)]) -> Result<Origin, IdentityError> {
        let lookup = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Origin::choose(&settings(identity), lookup)
    }

    const KEY: (&str, &str) = (KEY_ID, "AKIANODE");
    const FILE: (&str, &str) = (TOKEN_FILE, "/var/run/token");
    const ROLE: (&str, &str) = (ROLE_ARN, "arn:aws:iam::123456789012:role/gateway");

    #[test]
    fn auto_prefers_keys_then_a_token_then_the_node() {
        let web = |name: &str| Origin::WebIdentity {
            token_file: Path::new("/var/run/token").to_owned(),
            role_arn: ROLE.1.parse().unwrap(),
            session_name: name.parse().unwrap(),
        };
        let imds = || Origin::Imds { endpoint: "http://127.0.0.1:1".into() };
        assert_eq!(choose(Identity::Auto, &[KEY, FILE, ROLE]), Ok(Origin::Environment));
        assert_eq!(choose(Identity::Auto, &[FILE, ROLE]), Ok(web("metagate")));
        assert_eq!(choose(Identity::WebIdentity, &[KEY, FILE, ROLE, (SESSION_NAME, "gw-1")]), Ok(web("gw-1")));
        assert_eq!(choose(Identity::Auto, &[]), Ok(imds()));
        assert_eq!(choose(Identity::Imds, &[KEY, FILE, ROLE]), Ok(imds()));
    }

    #[test]
    fn an_identity_that_lacks_its_variables_says_which() {
        assert_eq!(choose(Identity::Environment, &[FILE]), Err(IdentityError::Unset(KEY_ID)));
        assert_eq!(choose(Identity::WebIdentity, &[KEY]), Err(IdentityError::Unset(TOKEN_FILE)));
        assert_eq!(choose(Identity::Auto, &[FILE]), Err(IdentityError::Unset(ROLE_ARN)));
        let wrong = choose(Identity::Auto, &[FILE, (ROLE_ARN, "gateway")]).unwrap_err();
        assert!(wrong.to_string().starts_with("the environment variable AWS_ROLE_ARN is not of the form"), "{wrong}");
        let simulated = IdentitySettings { imds_endpoint: ImdsEndpoint::Sandbox, ..settings(Identity::Imds) };
        assert_eq!(Origin::choose(&simulated, |_| None), Err(IdentityError::Sandbox));
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_refused_at_start() {
        assert_eq!(instance_role("http://").unwrap_err(), IdentityError::Endpoint("http://".into()));
    }

    #[tokio::test]
    async fn the_node_s_role_is_read_from_the_configured_endpoint() {
        let node = FakeServer::start(|ask| match ask.path.as_str() {
            "/latest/api/token" => Reply::Answer(200, "token".into()),
            "/latest/meta-data/iam/security-credentials/" => Reply::Answer(200, "node".into()),
            "/latest/meta-data/iam/security-credentials/node" => Reply::Answer(
                200,
                r#"{"Code":"Success","AccessKeyId":"ASIANODE","SecretAccessKey":"s","Token":"t","Expiration":"2999-01-01T00:00:00Z"}"#.into(),
            ),
            _ => Reply::Answer(404, String::new()),
        })
        .await;
        let imds_endpoint = ImdsEndpoint::Http(node.endpoint.clone());
        let provider = base_identity(&IdentitySettings { imds_endpoint, ..settings(Identity::Imds) }).unwrap();
        assert_eq!(provider.provide_credentials().await.unwrap().access_key_id(), "ASIANODE");
    }

    #[tokio::test]
    async fn the_gateway_s_own_token_goes_to_the_configured_endpoint_and_is_read_for_each_call() {
        let server =
            FakeServer::start(|_| issued("AssumeRoleWithWebIdentity", "ASIAGATEWAY", Duration::from_secs(3600))).await;
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        let sts = Transport::new().client(Region::new("eu-central-1"), Some(&server.endpoint), None);
        let (role_arn, session_name) = (ROLE.1.parse().unwrap(), "metagate".parse().unwrap());
        let own = OwnToken { sts, token_file: token_file.clone(), role_arn, session_name };
        for token in ["first", "second"] {
            fs::write(&token_file, token).unwrap();
            assert_eq!(own.provide_credentials().await.unwrap().access_key_id(), "ASIAGATEWAY");
        }
        let asked = server.asked();
        let sent: Vec<&str> = asked.iter().map(|ask| ask.field("WebIdentityToken")).collect();
        assert_eq!(sent, ["first", "second"]);
        assert!(asked.iter().all(|ask| ask.authorization.is_none() && ask.field("RoleArn") == ROLE.1));
    }
}
