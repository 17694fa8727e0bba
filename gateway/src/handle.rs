//! The life of a request. The only file that knows the order of the stages.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, request::Parts};
use http_body_util::Full;
use opentelemetry::context::FutureExt;

use crate::{
    caller::{Origin, identify, standing},
    catalogue::{AllowList, Catalogue, Resolved},
    clock::Clock,
    config::TokenMode,
    credential::Credentials,
    dialect::{Answer, Hosts, Operation, imds},
    lifecycle::Configuration,
    policy::{Granted, Policy},
    refusal::{Refusal, Refused},
    relay::Relay,
    roster::{Entry, Feed, Standing},
    session::{Keyring, Session, Token, Ttl},
    telemetry::{Protocol, Record, Telemetry},
};

/// Everything that an answer needs.
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
    /// The status file that the watcher of the node's redirect writes.
    pub redirect_status: PathBuf,
    pub clock: Clock,
}

pub async fn handle(gateway: &Gateway, origin: &Origin, parts: &Parts, has_body: bool) -> Response<Full<Bytes>> {
    let mut record = gateway.telemetry.record(origin, parts);
    let answer = match record.context().cloned() {
        None => gateway.answer(origin, parts, has_body, &mut record).await,
        // Boxed, as few requests are traced.
        Some(context) => Box::pin(gateway.answer(origin, parts, has_body, &mut record).with_context(context)).await,
    };
    match &answer {
        Ok(_) => record.answered(),
        Err(refused) => record.refused(refused.clone()),
    }
    imds::render(answer.map_err(|refused| refused.refusal), record.id())
}

impl Gateway {
    async fn answer(
        &self,
        origin: &Origin,
        parts: &Parts,
        has_body: bool,
        record: &mut Record<'_>,
    ) -> Result<Answer, Refused> {
        let request = imds::parse(parts, has_body, origin.connected_to, &self.hosts)?;
        record.route(request.operation.route());
        if let Operation::MintToken(ttl) = request.operation {
            return Ok(self.mint(origin, ttl)?);
        }
        let session = self.session(origin, request.token)?;
        record.protocol(if session.is_some() { Protocol::V2 } else { Protocol::V1 });
        let identified = identify(&self.feed, origin, self.wait).await;
        record.waited(&identified);
        let caller = identified.caller.map_err(Refusal::from)?;
        if session.is_some_and(|session| !session.belongs_to(&caller.workload)) {
            return Err(Refusal::TokenOfAnother.into());
        }
        record.caller(&caller);
        match request.operation {
            Operation::MintToken(_) | Operation::Versions => Ok(Answer::Versions),
            Operation::RoleName => {
                let granted = self.policy.grant(caller.principal()).await?;
                Ok(Answer::RoleName(granted.grant.role().arn.clone()))
            }
            Operation::Credential { form, role } => {
                let granted = self.policy.grant(caller.principal()).await?;
                let Granted { grant, decision } = &granted;
                if !grant.role().arn.is_named_by(&role) {
                    return Err(Refusal::OtherRole.after(decision));
                }
                let credential = self.credentials.for_grant(grant).await;
                let credential = credential.map_err(|error| Refusal::from(error).after(decision))?;
                self.confirm(origin, &caller, &granted).await?;
                record.credential(&granted, &credential);
                Ok(Answer::Credential(credential, grant.role().arn.clone(), form))
            }
            Operation::InstanceProfile => {
                let Granted { grant, .. } = self.policy.grant(caller.principal()).await?;
                let as_of = self.credentials.peek(&grant).map_or_else(|| self.clock.now(), |cached| cached.issued_at);
                Ok(Answer::InstanceProfile(grant.role().arn.clone(), as_of))
            }
            Operation::Metadata(segments) => {
                let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
                // Boxed: hyper moves a request's future, so the common one should be small.
                Box::pin(self.metadata(&caller, &segments)).await
            }
        }
    }

    /// Checks caller and grant again after a wait: the address may belong to another pod by now, an annotation may be
    /// gone, or the rules may have changed. A caller gets only what the present state allows.
    async fn confirm(&self, origin: &Origin, caller: &Arc<Entry>, granted: &Granted) -> Result<(), Refused> {
        let overtaken = || Refusal::Overtaken.after(&granted.decision);
        match standing(&self.feed, origin) {
            Standing::Known(now) if Arc::ptr_eq(&now, caller) => {}
            _ => return Err(overtaken()),
        }
        let now = self.policy.grant(caller.principal()).await?;
        if now.grant.key() == granted.grant.key() { Ok(()) } else { Err(overtaken()) }
    }

    /// Does no I/O and never waits: a token is issued even while nothing else works.
    fn mint(&self, origin: &Origin, ttl: Ttl) -> Result<Answer, Refusal> {
        let known = standing(&self.feed, origin);
        let owner = match &known {
            Standing::Known(entry) => Some(&entry.workload.uid),
            Standing::Ambiguous | Standing::Unknown | Standing::Absent => None,
        };
        let token = Token::mint(&self.keys, ttl, origin.address(), owner, self.clock.now()).ok_or(Refusal::Stopping)?;
        Ok(Answer::Token(token, ttl))
    }

    /// None for IMDSv1. A token that is sent must be valid, even where none is required.
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
    async fn metadata(&self, caller: &Entry, segments: &[&str]) -> Result<Answer, Refused> {
        match Catalogue::resolve(segments, &self.allow) {
            Resolved::Entry(entry) => {
                let decision = self.policy.admit(caller.principal(), entry.path()).await?;
                let document = self.relay.get(&entry).await;
                Ok(Answer::Document(document.map_err(|error| Refusal::from(error).after(&decision))?))
            }
            Resolved::Directory(directory) => {
                let listed = match directory.listing() {
                    Some(listing) => self.relay.list(listing, &self.allow).await.map_err(Refusal::from)?,
                    None => Vec::new(),
                };
                let names = self.policy.list(caller.principal(), &directory, listed).await?;
                if names.is_empty() {
                    Err(Refusal::NoSuchPath.into())
                } else {
                    Ok(Answer::Listing(names.into_iter().collect()))
                }
            }
            Resolved::NotAllowed(_) | Resolved::Unknown => Err(Refusal::NoSuchPath.into()),
        }
    }
}
