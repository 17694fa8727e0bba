//! The EC2 instance metadata service's dialect: request to `Request`, `Answer` or refusal to response.

use std::{borrow::Cow, net::SocketAddr, time::SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SERVER},
    request::Parts,
};
use http_body_util::Full;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Answer, Hosts, Operation, Request};
use crate::{
    catalogue::CanonicalPath,
    clock::rfc3339,
    credential::{Credential, Form},
    refusal::{HeaderError, Refusal},
    request_id::RequestId,
    role::RoleArn,
    session::Ttl,
};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const FORWARDED_FOR: &str = "x-forwarded-for";
const SERVER_NAME: HeaderValue = HeaderValue::from_static("EC2ws");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
/// The service's own address, as SDKs write it into `Host`.
const SERVICE: &str = "169.254.169.254";
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What the service lists at `/` (EC2 User Guide, "Get the available versions of the instance metadata").
const VERSIONS: &str = "1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n2008-09-01\n2009-04-04\n\
2011-01-01\n2011-05-01\n2012-01-12\n2014-02-25\n2014-11-05\n2015-10-20\n2016-04-19\n2016-06-30\n2016-09-02\n2018-03-28\n\
2018-08-17\n2018-09-24\n2019-10-01\n2020-10-27\n2021-01-03\n2021-03-23\n2021-07-15\n2022-07-09\n2022-09-24\n2024-04-11\nlatest";
pub(crate) const LATEST: &str = "latest";

pub fn parse<'a>(
    parts: &'a Parts,
    has_body: bool,
    connected_to: SocketAddr,
    hosts: &Hosts,
) -> Result<Request<'a>, Refusal> {
    if ![Method::GET, Method::HEAD, Method::PUT].contains(&parts.method) {
        return Err(Refusal::Method { allow: allowed_at(parts.uri.path()) });
    }
    let headers = Headers::read(&parts.headers).map_err(Refusal::Header)?;
    check_host(parts, headers.host, connected_to, hosts)?;
    if has_body || headers.transfer_encoding {
        return Err(Refusal::Body);
    }
    let path = CanonicalPath::parse(parts.uri.path()).map_err(Refusal::Path)?;
    let operation = if parts.method == Method::PUT { put(&path, &headers)? } else { get(path)? };
    Ok(Request { operation, token: headers.token })
}

/// What a GET of that path asks for.
pub(crate) fn operation(path: &str) -> Result<Operation<'_>, Refusal> {
    get(CanonicalPath::parse(path).map_err(Refusal::Path)?)
}

/// Whether the path is the service's root, or begins with one of its versions.
pub(crate) fn is_versioned(path: &str) -> bool {
    path.split('/').find(|segment| !segment.is_empty()).is_none_or(is_version)
}

/// The headers that have a meaning here, found in one pass over all headers.
#[derive(Default)]
struct Headers<'a> {
    host: Option<&'a HeaderValue>,
    token: Option<&'a HeaderValue>,
    token_ttl: Option<&'a HeaderValue>,
    authorization: Option<&'a HeaderValue>,
    forwarded_for: bool,
    transfer_encoding: bool,
}

impl<'a> Headers<'a> {
    fn read(all: &'a HeaderMap) -> Result<Self, HeaderError> {
        let mut headers = Self::default();
        for (name, value) in all {
            let single = match name.as_str() {
                TOKEN => &mut headers.token,
                TOKEN_TTL => &mut headers.token_ttl,
                "host" => &mut headers.host,
                "authorization" => &mut headers.authorization,
                FORWARDED_FOR => {
                    headers.forwarded_for = true;
                    continue;
                }
                "transfer-encoding" => {
                    headers.transfer_encoding = true;
                    continue;
                }
                _ => continue,
            };
            // With two of them it is ambiguous who asks for what.
            if single.replace(value).is_some() {
                return Err(HeaderError::Repeated);
            }
        }
        Ok(headers)
    }
}

fn allowed_at(raw: &str) -> &'static str {
    match CanonicalPath::parse(raw) {
        Ok(path) if is_token(&path) => "PUT",
        _ => "GET, HEAD",
    }
}

fn is_token(path: &CanonicalPath<'_>) -> bool {
    matches!(path.0.as_slice(), [version, api, token] if api == "api" && token == "token" && is_version(version))
}

/// Checks `Host`, and also the target's authority, which a client sends to what it takes for a proxy.
fn check_host(
    parts: &Parts,
    host: Option<&HeaderValue>,
    connected_to: SocketAddr,
    hosts: &Hosts,
) -> Result<(), Refusal> {
    let known = |authority: &http::uri::Authority| {
        hosts.knows(authority, connected_to).then_some(()).ok_or(Refusal::ForeignHost)
    };
    if let Some(authority) = parts.uri.authority() {
        known(authority).map_err(|_| Refusal::Header(HeaderError::ForeignTarget))?;
    }
    match host {
        Some(host) if host == SERVICE => Ok(()),
        Some(host) => {
            let malformed = Refusal::Header(HeaderError::HostMalformed);
            known(&http::uri::Authority::try_from(host.as_bytes()).map_err(|_| malformed)?)
        }
        None if parts.version < Version::HTTP_11 => Ok(()),
        None => Err(Refusal::Header(HeaderError::HostMissing)),
    }
}

fn put<'a>(path: &CanonicalPath<'_>, headers: &Headers<'_>) -> Result<Operation<'a>, Refusal> {
    match path.0.as_slice() {
        [version, ..] if is_token(path) => {
            if version != LATEST {
                return Err(Refusal::TokenDated);
            }
            if headers.forwarded_for {
                return Err(Refusal::TokenForwarded);
            }
            let ttl = headers.token_ttl.and_then(|ttl| Ttl::parse(ttl.to_str().ok()?));
            ttl.map(Operation::MintToken).ok_or(Refusal::TokenTtl)
        }
        _ => Err(Refusal::Method { allow: "GET, HEAD" }),
    }
}

fn get(path: CanonicalPath<'_>) -> Result<Operation<'_>, Refusal> {
    let mut segments = path.0;
    let Some(version) = segments.first() else { return Ok(Operation::Versions) };
    if !is_version(version) {
        return Err(Refusal::NoSuchPath);
    }
    let names: [Option<&str>; 4] = std::array::from_fn(|index| segments.get(index + 1).map(|name| &**name));
    Ok(match names {
        [Some("api"), Some("token"), None, _] => return Err(Refusal::Method { allow: "PUT" }),
        [Some("meta-data"), Some("iam"), Some("info"), None] => Operation::InstanceProfile,
        [Some("meta-data"), Some("iam"), Some("security-credentials" | "security-credentials-extended"), None] => {
            Operation::RoleName
        }
        [Some("meta-data"), Some("iam"), Some("security-credentials"), Some(_)] => {
            Operation::Credential { form: Form::Plain, role: role(segments) }
        }
        [Some("meta-data"), Some("iam"), Some("security-credentials-extended"), Some(_)] => {
            Operation::Credential { form: Form::Extended, role: role(segments) }
        }
        _ => {
            segments.remove(0);
            Operation::Metadata(segments)
        }
    })
}

/// Segments before a role: the version, `meta-data`, `iam`, `security-credentials`.
const BEFORE_ROLE: usize = 4;

/// The role in the segments after them.
fn role(mut segments: Vec<Cow<'_, str>>) -> Cow<'_, str> {
    match segments.len() - BEFORE_ROLE {
        1 => segments.pop().unwrap_or_default(),
        _ => segments.split_off(BEFORE_ROLE).join("/").into(),
    }
}

fn is_version(segment: &str) -> bool {
    segment == LATEST || VERSIONS.lines().any(|version| version == segment)
}

pub fn render(answer: Result<Answer, Refusal>, request_id: RequestId) -> Response<Full<Bytes>> {
    match answer {
        Ok(answer) => render_answer(answer),
        Err(refusal) => render_refusal(&refusal, request_id),
    }
}

fn render_answer(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Token(token, ttl) => {
            let mut response = text(StatusCode::OK, token.as_str().to_owned());
            let name = HeaderName::from_static(TOKEN_TTL);
            response.headers_mut().insert(name, HeaderValue::from(ttl.seconds()));
            response
        }
        Answer::Versions => text(StatusCode::OK, VERSIONS),
        Answer::Listing(names) => text(StatusCode::OK, names.join("\n")),
        Answer::RoleName(role) => text(StatusCode::OK, role.name().to_owned()),
        Answer::Credential(credential, role, form) => {
            let document = credential.rendered(form, |credential| document(credential, &role, form));
            let mut response = text(StatusCode::OK, document);
            response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
            response
        }
        Answer::InstanceProfile(role, as_of) => text(StatusCode::OK, instance_profile(&role, as_of)),
        Answer::Document(document) => {
            let mut response = text(StatusCode::OK, document.body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(document.content_type.as_str()));
            response
        }
    }
}

/// Whether a body is a gateway's refusal: IMDS gives no request ids. `doctor` recognizes another gateway by it.
pub fn is_refusal(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let id = text.trim_end().strip_suffix(')').and_then(|text| text.rsplit_once("(request ")).map(|(_, id)| id);
    id.is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn render_refusal(refusal: &Refusal, request_id: RequestId) -> Response<Full<Bytes>> {
    let body = match refusal.aws_code() {
        Some(code) => failed_document(code, &refusal.text(), request_id),
        None => format!("{} (request {request_id})\n", refusal.text()).into_bytes(),
    };
    let mut response = text(refusal.status(), body);
    let headers = response.headers_mut();
    if let Some(wait) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
    }
    if let Refusal::Method { allow } = refusal {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if refusal.closes() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// `text/plain` for everything, JSON too, as the real service does.
fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response.headers_mut().insert(SERVER, SERVER_NAME);
    response
}

/// EC2 User Guide, "IAM roles for Amazon EC2", retrieve security credentials; the keys in that order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialDocument<'a> {
    code: &'a str,
    last_updated: String,
    r#type: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

fn document(credential: &Credential, role: &RoleArn, form: Form) -> Vec<u8> {
    let (secret, token) = (credential.secret_access_key.expose(), credential.session_token.expose());
    let document = CredentialDocument {
        code: "Success",
        // botocore reads exactly this form of RFC 3339: UTC, no fraction.
        last_updated: rfc3339(credential.issued_at),
        r#type: "AWS-HMAC",
        access_key_id: &credential.access_key_id,
        secret_access_key: secret,
        token,
        expiration: rfc3339(credential.expires_at),
        account_id: (form == Form::Extended).then(|| role.account()),
    };
    json(&document, secret.len() + token.len())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FailedDocument<'a> {
    code: &'a str,
    message: &'a str,
    request_id: String,
}

fn failed_document(code: &str, message: &str, request_id: RequestId) -> Vec<u8> {
    json(&FailedDocument { code, message, request_id: request_id.to_string() }, 0)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceProfileDocument<'a> {
    code: &'a str,
    last_updated: String,
    instance_profile_arn: String,
    instance_profile_id: String,
}

/// Made up from the workload's own role: the node's profile is not disclosed.
fn instance_profile(role: &RoleArn, as_of: SystemTime) -> Vec<u8> {
    let document = InstanceProfileDocument {
        code: "Success",
        last_updated: rfc3339(as_of),
        instance_profile_arn: format!(
            "arn:{}:iam::{}:instance-profile/{}",
            role.partition(),
            role.account(),
            role.path_and_name()
        ),
        instance_profile_id: profile_id(role),
    };
    json(&document, 0)
}

/// `AIPA` and 17 characters of base 32, as IAM's unique identifiers look; stable for a role.
fn profile_id(role: &RoleArn) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let tail = Sha256::digest(role.as_str()).into_iter().take(17);
    let letters =
        tail.filter_map(|byte| BASE32.get(usize::from(byte) % BASE32.len()).map(|letter| char::from(*letter)));
    std::iter::once("AIPA".to_owned()).chain(letters.map(String::from)).collect()
}

/// Bytes for a document's keys, dates and layout.
const FRAME_BYTES: usize = 512;

/// `secrets` is the total length of the document's secrets: a buffer that has to grow leaves copies of them behind that
/// nobody wipes.
fn json(document: &impl Serialize, secrets: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(FRAME_BYTES + secrets);
    // Strings written to memory cannot fail.
    let written = serde_json::to_writer_pretty(&mut text, document);
    written.map(|()| text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::credential::Secret;

    #[test]
    fn no_copy_of_a_secret_is_left_behind_by_a_buffer_that_grew() {
        let role: RoleArn = "arn:aws:iam::123456789012:role/a".parse().unwrap();
        let (secret, token) = ("s".repeat(40), "t".repeat(9_000));
        let strings = secret.len() + token.len();
        // The longest access key id there may be (AWS STS API Reference, "Credentials").
        let id = "A".repeat(128);
        let credential = Credential::new(
            id,
            Secret::new(secret),
            Secret::new(token),
            UNIX_EPOCH,
            UNIX_EPOCH + Duration::from_secs(1),
        );
        let document = document(&credential, &role, Form::Extended);
        assert_eq!(document.capacity(), FRAME_BYTES + strings);
    }
}
