//! What is known of one request when it ends.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, request::Parts};
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};

use super::{RecentRefusal, Telemetry, metrics::Answered};
use crate::{
    caller::{Identified, Origin},
    clock::rfc3339,
    credential::Credential,
    events,
    policy::{Decision, Granted},
    refusal::{Refusal, Refused},
    request_id::RequestId,
    roster::Entry,
    workload::Workload,
};

pub struct Record<'a> {
    telemetry: &'a Telemetry,
    began: Instant,
    id: RequestId,
    peer: IpAddr,
    method: &'static str,
    route: &'static str,
    protocol: Option<Protocol>,
    caller: Option<Arc<Entry>>,
    /// The access key id joins this record with CloudTrail; it is no secret.
    credential: Option<(Granted, Arc<Credential>)>,
    ended: Option<Ended>,
    /// The context of the request's span, where it is traced.
    context: Option<Context>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Without a session token.
    V1,
    V2,
}

enum Ended {
    Answered,
    Refused(Refused),
}

/// How an answered request is labelled.
const OK: &str = "ok";

impl<'a> Record<'a> {
    pub(super) fn begin(telemetry: &'a Telemetry, origin: &Origin, parts: &Parts) -> Self {
        telemetry.metrics.traffic().began();
        let id = RequestId::random();
        Self {
            context: telemetry.traces.request(id),
            telemetry,
            began: Instant::now(),
            id,
            peer: origin.address(),
            method: method(&parts.method),
            route: "malformed",
            protocol: None,
            caller: None,
            credential: None,
            ended: None,
        }
    }

    pub fn id(&self) -> RequestId {
        self.id
    }

    /// The trace context of work for this request, where it is traced.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// The path with placeholders for its variable parts (OpenTelemetry, `http.route`).
    pub fn route(&mut self, route: &'static str) {
        self.route = route;
    }

    pub fn protocol(&mut self, protocol: Protocol) {
        self.protocol = Some(protocol);
    }

    /// How long the request waited for its caller to be known, if it had to.
    pub fn waited(&self, identified: &Identified) {
        if let Some(waited) = identified.waited {
            self.telemetry.metrics.waited(identified.caller.as_ref().err().copied(), waited);
        }
    }

    /// The request comes from this workload: its address shows it, and so does its token where it has one.
    pub fn caller(&mut self, caller: &Arc<Entry>) {
        self.caller = Some(Arc::clone(caller));
    }

    pub fn credential(&mut self, granted: &Granted, credential: &Arc<Credential>) {
        self.credential = Some((granted.clone(), Arc::clone(credential)));
    }

    pub fn answered(&mut self) {
        self.ended = Some(Ended::Answered);
    }

    pub fn refused(&mut self, refused: Refused) {
        self.ended = Some(Ended::Refused(refused));
    }

    fn refusal(&self) -> Option<&Refusal> {
        self.as_refused().map(|refused| &refused.refusal)
    }

    fn as_refused(&self) -> Option<&Refused> {
        match &self.ended {
            Some(Ended::Refused(refused)) => Some(refused),
            Some(Ended::Answered) | None => None,
        }
    }

    fn workload(&self) -> Option<&Workload> {
        self.caller.as_ref().map(|caller| &*caller.workload)
    }

    /// Policy's decision on this request, not one on another request.
    fn decision(&self) -> Option<&Decision> {
        let granted = self.credential.as_ref().map(|(granted, _)| &granted.decision);
        granted.or_else(|| self.as_refused()?.decision.as_ref()).map(|decision| &**decision)
    }

    /// Whether this workload is given this credential for the first time.
    fn is_first(&self) -> bool {
        let Some((caller, (_, credential))) = self.caller.as_ref().zip(self.credential.as_ref()) else {
            return false;
        };
        caller.logged.first_credential(credential.issued_at)
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let (status, outcome) = match &self.ended {
            Some(Ended::Answered) => (200, OK),
            Some(Ended::Refused(refused)) => (refused.refusal.status().as_u16(), refused.refusal.label()),
            // The client closed the connection before there was an answer. 499 is nginx's status for it; HTTP has none.
            None => (499, "client-left"),
        };
        let refused = self.refusal().map(Refusal::label);
        let answered = Answered { method: self.method, route: self.route, status, refused };
        self.telemetry.metrics.request(&answered, took);
        if self.protocol == Some(Protocol::V1) {
            self.telemetry.metrics.traffic().v1_request();
            self.log_v1();
        }
        if let Some(refused) = self.as_refused() {
            self.report(status, refused);
        }
        // Lines logged from here on belong to this trace.
        let attached = self.context.clone().map(Context::attach);
        if refused.is_some() || self.is_first() {
            self.write(status, outcome, took);
        } else {
            self.write_access(status, outcome, took);
        }
        drop(attached);
        self.end_span(&answered);
    }
}

impl Record<'_> {
    /// Logs once for each workload: these pods need another SDK before a token is required.
    fn log_v1(&self) {
        if let Some(caller) = self.caller.as_deref().filter(|caller| caller.logged.first_v1()) {
            tracing::info!(
                target: "metagate::imds",
                namespace = caller.workload.namespace,
                pod = caller.workload.pod,
                request_id = %self.id,
                "this pod asks without a session token (IMDSv1)"
            );
        }
    }

    /// Reports a refusal to the pod's Events and to the status page.
    fn report(&self, status: u16, refused: &Refused) {
        if let Some(workload) = self.workload() {
            self.telemetry.events.send(|| events::of_refusal(workload, refused));
        }
        let refusal = &refused.refusal;
        self.telemetry.refusals.add(RecentRefusal {
            at: Instant::now(),
            times: 1,
            request_id: self.id,
            peer: self.peer,
            pod: self.workload().map(Workload::title),
            route: self.route,
            status,
            reason: refusal.label(),
            cause: refusal.cause().unwrap_or_else(|| refusal.text()),
        });
    }

    /// Writes the decision record: of every refusal, and of a workload's first use of each credential. CloudTrail shows
    /// the same access key id and session name.
    fn write(&self, status: u16, outcome: &'static str, took: Duration) {
        let (workload, decision) = (self.workload(), self.decision());
        let credential = self.credential.as_ref().map(|(_, credential)| &**credential);
        // A refusal after a grant names the role too: it is the role that AWS refused.
        let role = decision.and_then(|decision| decision.outcome.grant()).map(|grant| grant.role());
        let trace_id = self.context.as_ref().map(|context| context.span().span_context().trace_id());
        tracing::info!(
            target: "metagate::decision",
            decision = if status < 400 { "granted" } else { "refused" },
            request_id = %self.id,
            trace_id = trace_id.map(tracing::field::display),
            peer = %self.peer,
            method = self.method,
            route = self.route,
            status,
            outcome,
            imds = self.protocol.map(Protocol::label),
            namespace = workload.map(|workload| workload.namespace.as_str()),
            pod = workload.map(|workload| workload.pod.as_str()),
            uid = workload.map(|workload| workload.uid.as_str()),
            service_account = workload.map(|workload| workload.service_account.as_str()),
            role = role.map(|role| role.arn.as_str()),
            session_name = role.map(|role| role.session_name.as_str()),
            access_key_id = credential.map(|credential| credential.access_key_id.as_str()),
            expires = credential.map(|credential| rfc3339(credential.expires_at)),
            by = match self.refusal() {
                None => decision.map(Decision::ended_by),
                Some(Refusal::Denied(denial)) => Some(&*denial.by),
                Some(Refusal::PluginFailed(fault)) => Some(&*fault.plugin),
                // Policy did not refuse this.
                Some(_) => None,
            },
            cause = self.refusal().and_then(Refusal::cause),
            duration_us = microseconds(took),
            "decision"
        );
    }

    fn write_access(&self, status: u16, outcome: &'static str, took: Duration) {
        let workload = self.workload();
        tracing::debug!(
            target: "metagate::access",
            request_id = %self.id,
            peer = %self.peer,
            method = self.method,
            route = self.route,
            status,
            outcome,
            imds = self.protocol.map(Protocol::label),
            namespace = workload.map(|workload| workload.namespace.as_str()),
            pod = workload.map(|workload| workload.pod.as_str()),
            access_key_id = self.credential.as_ref().map(|(_, credential)| credential.access_key_id.as_str()),
            duration_us = microseconds(took),
            "request"
        );
    }

    fn end_span(&self, answered: &Answered) {
        let Some(context) = &self.context else { return };
        let span = context.span();
        span.update_name(format!("{} {}", answered.method, answered.route));
        for label in answered.labels() {
            span.set_attribute(label);
        }
        span.set_attribute(KeyValue::new("metagate.request_id", self.id.to_string()));
        span.set_attribute(KeyValue::new("client.address", self.peer.to_string()));
        if let Some(workload) = self.workload() {
            span.set_attribute(KeyValue::new("k8s.namespace.name", workload.namespace.clone()));
            span.set_attribute(KeyValue::new("k8s.pod.name", workload.pod.clone()));
            span.set_attribute(KeyValue::new("k8s.pod.uid", workload.uid.as_str().to_owned()));
        }
        // A server's span is an error only where the server is at fault (OpenTelemetry, HTTP spans).
        if answered.status >= 500 {
            span.set_status(Status::error(answered.refused.unwrap_or_default()));
        }
        span.end();
    }
}

/// Any method that a client makes up has one label (OpenTelemetry, HTTP: `_OTHER`).
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

impl Protocol {
    fn label(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}
