//! What is known of one request when it ends.

use std::{fmt, net::IpAddr, sync::Arc, time::Instant};

use http::{Method, request::Parts};

use super::Telemetry;
use crate::{
    caller::Origin,
    credential::Credential,
    dialect::{Answer, Ask},
    events::Notice,
    policy::Grant,
    refusal::Refusal,
    workload::Workload,
};

pub struct Record {
    telemetry: Telemetry,
    began: Instant,
    id: RequestId,
    peer: IpAddr,
    method: Method,
    ask: &'static str,
    protocol: Option<Protocol>,
    workload: Option<Arc<Workload>>,
    /// The access key id joins this line with CloudTrail; it is no secret.
    credential: Option<(Arc<Grant>, Arc<Credential>)>,
    ended: Option<Ended>,
}

/// What a pod's owner quotes and an operator searches for. Written out only where somebody reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Without a session token.
    V1,
    V2,
}

enum Ended {
    Answered,
    Refused { refusal: Refusal },
}

/// How an answered request is labelled.
const OK: &str = "ok";

impl Record {
    pub(super) fn begin(telemetry: Telemetry, origin: &Origin, parts: &Parts) -> Self {
        Self {
            telemetry,
            began: Instant::now(),
            id: RequestId(rand::random()),
            peer: origin.address(),
            method: parts.method.clone(),
            ask: "malformed",
            protocol: None,
            workload: None,
            credential: None,
            ended: None,
        }
    }

    pub fn id(&self) -> RequestId {
        self.id
    }

    pub fn ask(&mut self, ask: &Ask<'_>) {
        self.ask = ask.label();
    }

    pub fn protocol(&mut self, protocol: Protocol) {
        self.protocol = Some(protocol);
    }

    pub fn workload(&mut self, workload: &Arc<Workload>) {
        self.workload = Some(Arc::clone(workload));
    }

    pub fn credential(&mut self, grant: &Arc<Grant>, credential: &Arc<Credential>) {
        self.credential = Some((Arc::clone(grant), Arc::clone(credential)));
    }

    pub fn outcome(&mut self, answer: &Result<Answer, Refusal>) {
        self.ended = Some(match answer {
            Ok(_) => Ended::Answered,
            Err(refusal) => Ended::Refused { refusal: refusal.clone() },
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (status, outcome) = match &self.ended {
            Some(Ended::Answered) => (200, OK),
            Some(Ended::Refused { refusal }) => (refusal.status().as_u16(), refusal.label()),
            // The client left before there was an answer. 499 is nginx's word for it; HTTP has none.
            None => (499, "client-left"),
        };
        self.telemetry.metrics.request(self.ask, status, outcome, self.began.elapsed());
        if self.protocol == Some(Protocol::V1) {
            self.telemetry.metrics.v1_request();
        }
        if let (Some(workload), Some(Ended::Refused { refusal })) = (&self.workload, &self.ended) {
            self.telemetry.notices.tell(|| Notice::of_refusal(workload, refusal));
        }
        let cause = match &self.ended {
            Some(Ended::Refused { refusal }) => refusal.cause(),
            _ => None,
        };
        let workload = self.workload.as_deref();
        tracing::info!(
            target: "metagate::access",
            request_id = %self.id,
            peer = %self.peer,
            method = %self.method,
            ask = self.ask,
            status,
            outcome,
            imds = self.protocol.map(Protocol::label),
            namespace = workload.map(|workload| workload.namespace.as_str()),
            pod = workload.map(|workload| workload.pod.as_str()),
            role = self.credential.as_ref().map(|(grant, _)| grant.role().arn.as_str()),
            session_name = self.credential.as_ref().map(|(grant, _)| grant.role().session_name.as_str()),
            access_key_id = self.credential.as_ref().map(|(_, credential)| credential.access_key_id.as_str()),
            cause,
            duration_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

impl Protocol {
    fn label(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}
