//! The life of a request. The only file that knows the order of the stages.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, request::Parts};
use http_body_util::Full;
use opentelemetry::context::FutureExt;

use crate::{
    caller::{Origin, identify, standing},
    catalogue::{AllowList, Catalogue},
    clock::Clock,
    config::TokenMode,
    credential::Credentials,
    dialect::{Answer, Ask, Hosts, imds},
    lifecycle::Configuration,
    policy::{Grant, Policy, Rejection},
    refusal::Refusal,
    relay::{Relay, RelayError},
    roster::{Feed, Standing},
    session::{Keyring, Session, Token, Ttl},
    telemetry::{Protocol, Record, Telemetry},
    workload::Workload,
};

/// Everything that answering takes.
pub struct Gateway {
    pub hosts: Hosts,
    pub token_mode: TokenMode,
    pub keys: Keyring,
    pub feed: Arc<Feed>,
    /// How long a request waits for its pod to appear.
    pub wait: Duration,
    pub policy: Arc<Policy>,
    pub configuration: Configuration,
    pub credentials: Credentials,
    pub allow: AllowList,
    pub relay: Arc<Relay>,
    pub telemetry: Telemetry,
    /// What a watcher of the node's redirect writes.
    pub redirect_status: PathBuf,
    pub clock: Clock,
}

pub async fn handle(gateway: &Gateway, origin: &Origin, parts: &Parts, has_body: bool) -> Response<Full<Bytes>> {
    let mut record = gateway.telemetry.record(origin, parts);
    let answer = match record.context().cloned() {
        None => gateway.answer(origin, parts, has_body, &mut record).await,
        // Boxed, as one request of many is traced.
        Some(context) => Box::pin(gateway.answer(origin, parts, has_body, &mut record).with_context(context)).await,
    };
    let id = record.id();
    record.outcome(&answer);
    imds::render(answer, id)
}

impl Gateway {
    async fn answer(
        &self,
        origin: &Origin,
        parts: &Parts,
        has_body: bool,
        record: &mut Record<'_>,
    ) -> Result<Answer, Refusal> {
        let request = imds::parse(parts, has_body, origin.connected_to, &self.hosts)?;
        record.ask(&request.ask);
        if let Ask::MintToken(ttl) = request.ask {
            return self.mint(origin, ttl);
        }
        let session = self.session(origin, request.token)?;
        record.protocol(if session.is_some() { Protocol::V2 } else { Protocol::V1 });
        let workload = record.caller(identify(&self.feed, origin, self.wait).await)?;
        if session.is_some_and(|session| !session.belongs_to(&workload)) {
            return Err(Refusal::TokenOfAnother);
        }
        match request.ask {
            Ask::MintToken(_) | Ask::Versions => Ok(Answer::Versions),
            Ask::RoleName => {
                let grant = self.policy.grant(&workload).await?;
                Ok(Answer::RoleName(grant.role().arn.clone()))
            }
            Ask::Credential { form, role } => {
                let grant = self.policy.grant(&workload).await?;
                if !grant.role().arn.is_named_by(&role) {
                    return Err(Refusal::OtherRole);
                }
                let credential = self.credentials.for_grant(&grant).await?;
                self.confirm(origin, &workload, &grant).await?;
                record.credential(&grant, &credential);
                Ok(Answer::Credential(credential, grant.role().arn.clone(), form))
            }
            Ask::InstanceProfile => {
                let grant = self.policy.grant(&workload).await?;
                let as_of = self.credentials.peek(&grant).map_or_else(|| self.clock.now(), |held| held.issued_at);
                Ok(Answer::InstanceProfile(grant.role().arn.clone(), as_of))
            }
            Ask::Metadata(segments) => {
                let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
                // Boxed: hyper moves a request's future, and the usual one shall be small.
                Box::pin(self.metadata(&workload, &segments)).await
            }
        }
    }

    /// What was decided before a wait may have been overtaken: the address may be another pod's by now, an annotation
    /// gone, the rules others. Nobody gets what only the past allows.
    async fn confirm(&self, origin: &Origin, workload: &Arc<Workload>, grant: &Grant) -> Result<(), Refusal> {
        match standing(&self.feed, origin) {
            Standing::Known(now) if Arc::ptr_eq(&now, workload) => {}
            _ => return Err(Refusal::Overtaken),
        }
        let now = self.policy.grant(workload).await?;
        if now.key() == grant.key() { Ok(()) } else { Err(Refusal::Overtaken) }
    }

    /// No I/O and no wait: a token is answered even while nothing else works.
    fn mint(&self, origin: &Origin, ttl: Ttl) -> Result<Answer, Refusal> {
        let known = standing(&self.feed, origin);
        let owner = match &known {
            Standing::Known(workload) => Some(&workload.uid),
            Standing::Ambiguous | Standing::Unknown | Standing::Absent => None,
        };
        let token = Token::mint(&self.keys, ttl, origin.address(), owner, self.clock.now()).ok_or(Refusal::Stopping)?;
        Ok(Answer::Token(token, ttl))
    }

    /// None for IMDSv1. A token that is shown must be good, whether one is required or not.
    fn session(&self, origin: &Origin, token: Option<&HeaderValue>) -> Result<Option<Session>, Refusal> {
        match (token, self.token_mode) {
            (Some(token), _) => Session::open(&self.keys, token.as_bytes(), origin.address(), self.clock.now())
                .map(Some)
                .map_err(Refusal::Token),
            (None, TokenMode::Optional) => Ok(None),
            (None, TokenMode::Required) => Err(Refusal::TokenAbsent),
        }
    }

    /// An entry of the catalogue that configuration and plugins admit, or the listing of a directory.
    async fn metadata(&self, workload: &Arc<Workload>, segments: &[&str]) -> Result<Answer, Refusal> {
        if let Some(entry) = Catalogue::find(segments).filter(|entry| self.allow.admits(entry)) {
            self.policy.admit(workload, entry.path()).await?;
            return Ok(Answer::Document(self.relay.get(&entry).await?));
        }
        let own: &[&str] = match segments {
            [] => &["meta-data"],
            ["meta-data"] => &["iam/"],
            ["meta-data", "iam"] => &["info", "security-credentials/"],
            _ => &[],
        };
        let listed = match self.relay.list(segments, &self.allow).await {
            Ok(names) => self.admitted(workload, segments, names).await?,
            Err(RelayError::NotFound { .. }) if !own.is_empty() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let shows_own = match (segments, self.policy.grant(workload).await) {
            ([], _) | (_, Ok(_)) => true,
            // The directory of what this pod may not have says why; the one above it only leaves it out.
            (["meta-data", "iam"], Err(rejection)) => return Err(rejection.into()),
            (_, Err(_)) => false,
        };
        let own = own.iter().filter(|_| shows_own).map(|name| (*name).to_owned());
        let names: BTreeSet<String> = listed.into_iter().chain(own).collect();
        if names.is_empty() { Err(Refusal::NoSuchPath) } else { Ok(Answer::Listing(names.into_iter().collect())) }
    }

    /// The names that plugins let this workload read: a listing tells as much as what it lists.
    async fn admitted(
        &self,
        workload: &Arc<Workload>,
        segments: &[&str],
        names: Vec<String>,
    ) -> Result<Vec<String>, Refusal> {
        let mut admitted = Vec::new();
        for name in names {
            match self.policy.admit(workload, &Catalogue::path_of(segments, &name)).await {
                Ok(()) => admitted.push(name),
                Err(Rejection::Denied(_)) => {}
                Err(rejection) => return Err(rejection.into()),
            }
        }
        Ok(admitted)
    }
}
