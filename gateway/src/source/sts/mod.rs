//! AWS STS: AssumeRole with the gateway's own identity, AssumeRoleWithWebIdentity with a workload's token.

mod client;
#[cfg(test)]
pub(super) mod fake;
mod fault;
mod propagate;
#[cfg(test)]
mod tests;
mod whoami;

pub(super) use client::{Transport, assume_own_role};
pub(super) use fault::Call;
pub use whoami::{Caller, Contact, WhoAmI};

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use aws_sdk_sts::{
    Client,
    config::{Region, SharedCredentialsProvider},
    types::{Credentials, PolicyDescriptorType, Tag},
};

use opentelemetry::context::FutureExt;

use crate::{
    clock::Clock,
    credential::{Credential, Fetch, FetchError, FetchErrorKind, Secret, Source},
    credential_key::{CredentialKey, Subject},
    role::{CredentialSource, Role, RoleArn},
    source::{StsObserver, StsOperation, TokenSupplier},
};

/// The longest duration that STS grants to a chained session, and that it grants for any role whatever the role's own
/// maximum (AWS IAM User Guide, "Role chaining"; a role's MaxSessionDuration is 1 hour or more).
const ALWAYS_GRANTED: Duration = Duration::from_secs(3600);

pub struct StsSettings {
    pub region: String,
    /// Replaces the region's own endpoint: a VPC endpoint, a test's server.
    pub endpoint: Option<String>,
    /// Signs the calls.
    pub identity: SharedCredentialsProvider,
    /// An intermediate role that is assumed first and then signs the calls.
    pub assume_role_arn: Option<RoleArn>,
    pub tokens: Arc<dyn TokenSupplier>,
    pub clock: Clock,
    pub observer: Arc<dyn StsObserver>,
}

pub struct StsSource {
    regional: Client,
    /// Only for service accounts that ask for it.
    global: Client,
    tokens: Arc<dyn TokenSupplier>,
    clock: Clock,
    observer: Arc<dyn StsObserver>,
    /// Roles whose configured duration was found too long; each is logged once.
    shortened: Mutex<HashSet<RoleArn>>,
}

impl Source for StsSource {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        Box::pin(self.fetch(key))
    }
}

impl StsSource {
    /// Opens no connection yet.
    pub fn new(settings: StsSettings) -> Self {
        Self::over(&Transport::new(), settings)
    }

    fn over(transport: &Transport, settings: StsSettings) -> Self {
        let StsSettings { region, endpoint, identity, assume_role_arn, tokens, clock, observer } = settings;
        let (region, endpoint) = (Region::new(region), endpoint.as_deref());
        let base = transport.client(region.clone(), endpoint, Some(identity));
        let regional = match assume_role_arn {
            None => base,
            Some(arn) => {
                let intermediate = SharedCredentialsProvider::new(client::Intermediate::new(base, arn));
                transport.client(region, endpoint, Some(intermediate))
            }
        };
        let global = transport.client(client::GLOBAL, endpoint, None);
        Self { regional, global, tokens, clock, observer, shortened: Mutex::default() }
    }

    async fn fetch(&self, key: &CredentialKey) -> Result<Credential, FetchError> {
        let role = key.role();
        match self.ask(key, role.duration).await {
            Err(error) if role.duration > ALWAYS_GRANTED && is_too_long(&error) => {
                self.note_shortened(role, &error);
                self.ask(key, ALWAYS_GRANTED).await
            }
            other => other,
        }
    }

    async fn ask(&self, key: &CredentialKey, duration: Duration) -> Result<Credential, FetchError> {
        let issued = match (&key.role().source, key.subject()) {
            (CredentialSource::AssumeRole, _) => self.assume_role(key.role(), duration).await?,
            (CredentialSource::WebIdentity { audience, regional }, Some(subject)) => {
                let client = self.client_for(key.role(), *regional);
                self.assume_role_with_token(client, key.role(), subject, audience, duration).await?
            }
            // Never falls back to the gateway's own identity: policy allowed the role for the workload's identity.
            (CredentialSource::WebIdentity { .. }, None) => {
                let detail = "the key of a web identity role names no workload".to_owned();
                return Err(FetchError { class: FetchErrorKind::Invalid, code: None, detail });
            }
        };
        credential(issued, self.clock.now())
    }

    /// Only the `aws` partition has the global endpoint.
    fn client_for(&self, role: &Role, regional: bool) -> &Client {
        if regional || role.arn.partition() != "aws" { &self.regional } else { &self.global }
    }

    async fn assume_role(&self, role: &Role, duration: Duration) -> Result<Option<Credentials>, FetchError> {
        let request = self
            .regional
            .assume_role()
            .role_arn(role.arn.as_str())
            .role_session_name(role.session_name.as_str())
            .duration_seconds(seconds(duration))
            .set_external_id(role.external_id.clone())
            .set_tags(tags(role)?)
            .set_policy(role.session_policy.clone())
            .set_policy_arns(policy_arns(role));
        let call = async {
            let answer = request.send().await;
            answer.map(|output| output.credentials).map_err(|error| fault::of(&error, Call::AssumeRole))
        };
        self.observed(StsOperation::AssumeRole, call).await
    }

    /// Session tags travel in the token's claims here; the call itself has no parameter for them.
    async fn assume_role_with_token(
        &self,
        client: &Client,
        role: &Role,
        subject: &Subject,
        audience: &str,
        duration: Duration,
    ) -> Result<Option<Credentials>, FetchError> {
        let token = self.tokens.token(subject, audience).await?;
        let request = client
            .assume_role_with_web_identity()
            .role_arn(role.arn.as_str())
            .role_session_name(role.session_name.as_str())
            .web_identity_token(token.expose())
            .duration_seconds(seconds(duration))
            .set_policy(role.session_policy.clone())
            .set_policy_arns(policy_arns(role));
        let call = async {
            let answer = request.send().await;
            answer.map(|output| output.credentials).map_err(|error| fault::of(&error, Call::WithWebIdentity))
        };
        self.observed(StsOperation::AssumeRoleWithWebIdentity, call).await
    }

    async fn observed<T>(
        &self,
        operation: StsOperation,
        call: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let began = Instant::now();
        let context = self.observer.begun(operation);
        let result = call.with_context(context.clone()).await;
        self.observer.ended(operation, &context, result.as_ref().map(|_| ()), began.elapsed());
        result
    }

    fn note_shortened(&self, role: &Role, error: &FetchError) {
        let mut shortened = self.shortened.lock().unwrap_or_else(PoisonError::into_inner);
        if shortened.insert(role.arn.clone()) {
            tracing::warn!(role = %role.arn, configured = ?role.duration, granted = ?ALWAYS_GRANTED, cause = error.detail,
                "session duration is too long for this role: raise the role's MaxSessionDuration, or shorten \
                 credentials.session_duration (a chained session lasts an hour at most)");
        }
    }
}

/// Both refusals are a ValidationError; only the text distinguishes them from other ones.
fn is_too_long(error: &FetchError) -> bool {
    let marks = ["MaxSessionDuration", "1 hour session limit", "role chaining"];
    error.code.as_deref() == Some("ValidationError") && marks.iter().any(|mark| error.detail.contains(mark))
}

/// The SDK fills missing fields of an answer with empty text and the epoch.
fn credential(issued: Option<Credentials>, now: SystemTime) -> Result<Credential, FetchError> {
    let unusable = || FetchError {
        class: FetchErrorKind::Unavailable,
        code: None,
        detail: "sts answered without a complete credential".to_owned(),
    };
    let issued = issued.ok_or_else(unusable)?;
    let (id, secret) = (issued.access_key_id, Secret::new(issued.secret_access_key));
    let token = Secret::new(issued.session_token);
    let expires_at = SystemTime::try_from(issued.expiration).map_err(|_| unusable())?;
    if id.is_empty() || secret.expose().is_empty() || token.expose().is_empty() {
        return Err(unusable());
    }
    Ok(Credential::new(id, secret, token, now, expires_at))
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

fn tags(role: &Role) -> Result<Option<Vec<Tag>>, FetchError> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let tags: Result<Vec<Tag>, _> = role.tags.iter().map(tag).collect();
    let invalid = |error: aws_sdk_sts::error::BuildError| FetchError {
        class: FetchErrorKind::Invalid,
        code: None,
        detail: error.to_string(),
    };
    tags.map(|tags| (!tags.is_empty()).then_some(tags)).map_err(invalid)
}

fn policy_arns(role: &Role) -> Option<Vec<PolicyDescriptorType>> {
    let arns = role.policy_arns.iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build());
    (!role.policy_arns.is_empty()).then(|| arns.collect())
}
