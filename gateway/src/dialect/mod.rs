//! From an HTTP request to an `Operation`, and from an `Answer` to an HTTP response. No later stage sees HTTP.

mod host;
pub mod imds;

pub use host::Hosts;

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use http::HeaderValue;

use crate::{
    credential::{Credential, Form},
    relay::Document,
    role::RoleArn,
    session::{Token, Ttl},
};

/// One well-formed request.
#[derive(Debug)]
pub struct Request<'a> {
    pub operation: Operation<'a>,
    /// The IMDSv2 session token; without one it is an IMDSv1 request.
    pub token: Option<&'a HeaderValue>,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    MintToken(Ttl),
    /// `/`: the versions of the service.
    Versions,
    /// The name of the caller's role.
    RoleName,
    Credential {
        form: Form,
        /// As the client wrote it, decoded: a name, a path, or an ARN.
        role: Cow<'a, str>,
    },
    /// `iam/info`.
    InstanceProfile,
    /// Anything else below a version: an entry or a listing of the catalogue, or nothing that exists.
    Metadata(Vec<Cow<'a, str>>),
}

impl Operation<'_> {
    /// For logs, metrics and traces: the path with placeholders for its variable parts (OpenTelemetry, `http.route`). A
    /// dated version has the route of `latest`.
    pub fn route(&self) -> &'static str {
        match self {
            Self::MintToken(_) => "/latest/api/token",
            Self::Versions => "/",
            Self::RoleName => "/latest/meta-data/iam/security-credentials/",
            Self::Credential { form: Form::Plain, .. } => "/latest/meta-data/iam/security-credentials/{role}",
            Self::Credential { form: Form::Extended, .. } => {
                "/latest/meta-data/iam/security-credentials-extended/{role}"
            }
            Self::InstanceProfile => "/latest/meta-data/iam/info",
            Self::Metadata(_) => "/latest/{path}",
        }
    }
}

#[derive(Debug)]
pub enum Answer {
    Token(Token, Ttl),
    Listing(Vec<String>),
    Versions,
    RoleName(RoleArn),
    Credential(Arc<Credential>, RoleArn, Form),
    InstanceProfile(RoleArn, SystemTime),
    Document(Document),
}
