//! The meaning of an STS error for the keeper and the pod.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::{
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

use crate::credential::{FetchError, FetchErrorKind};

/// The call that failed. It decides whose token has expired: the gateway's own with `AssumeRole`, the workload's with
/// `WithWebIdentity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Call {
    AssumeRole,
    WithWebIdentity,
}

/// Never quotes a response that could not be parsed: it may hold a credential.
pub(super) fn of<E>(error: &SdkError<E>, call: Call) -> FetchError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code();
            let message = answer.err().message().unwrap_or("no message");
            let (named, request) = (code.unwrap_or("no code"), error.request_id().unwrap_or("unknown"));
            let detail = format!("sts answered {status} {named}: {message} (request id {request})");
            FetchError { class: class_of(code, status, call), code: code.map(str::to_owned), detail }
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            let request = error.request_id().unwrap_or("unknown");
            unavailable(format!("sts answered {status} with a malformed response (request id {request})"))
        }
        SdkError::TimeoutError(_) => unavailable("sts has not answered in time".to_owned()),
        other => of_unsent(other),
    }
}

/// An error before any answer: no identity of the gateway's own, or no connection.
fn of_unsent(error: &(dyn Error + 'static)) -> FetchError {
    let Some(identity) = causes(Some(error)).find_map(|cause| cause.downcast_ref::<CredentialsError>()) else {
        return unavailable(format!("cannot reach sts: {}", chain(error)));
    };
    let below = || causes(identity.source());
    // The identity's own call to STS is classified already. A gateway whose call is refused has no identity, whatever
    // the reason.
    if let Some(fault) = below().find_map(|cause| cause.downcast_ref::<FetchError>()) {
        let class = match fault.class {
            FetchErrorKind::Throttled | FetchErrorKind::Unavailable => fault.class,
            _ => FetchErrorKind::Identity,
        };
        return FetchError {
            class,
            code: fault.code.clone(),
            detail: format!("the gateway's own identity: {}", fault.detail),
        };
    }
    let unreachable = below().any(|cause| cause.downcast_ref::<ConnectorError>().is_some());
    let class = match identity {
        _ if unreachable => FetchErrorKind::Unavailable,
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            FetchErrorKind::Identity
        }
        _ => FetchErrorKind::Unavailable,
    };
    FetchError { class, code: None, detail: format!("the gateway's own identity: {}", chain(identity)) }
}

/// Codes: AWS STS API Reference, AssumeRole, AssumeRoleWithWebIdentity and Common Error Types. Denial and throttling
/// have no typed variant in the SDK, and throttling may come with status 400.
fn class_of(code: Option<&str>, status: u16, call: Call) -> FetchErrorKind {
    match code.unwrap_or_default() {
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized" => FetchErrorKind::AccessDenied,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "SlowDown"
        | "LimitExceeded" => FetchErrorKind::Throttled,
        "InvalidIdentityToken" | "IDPRejectedClaim" => FetchErrorKind::Token,
        "ExpiredToken" | "ExpiredTokenException" => match call {
            Call::AssumeRole => FetchErrorKind::Identity,
            Call::WithWebIdentity => FetchErrorKind::Token,
        },
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidAccessKeyId"
        | "RequestExpired"
        | "OptInRequired" => FetchErrorKind::Identity,
        "MalformedPolicyDocument"
        | "PackedPolicyTooLarge"
        | "RegionDisabledException"
        | "ValidationError"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "MissingParameter"
        | "MalformedQueryString"
        | "InvalidAction" => FetchErrorKind::Invalid,
        "IDPCommunicationError" | "InternalFailure" | "ServiceUnavailable" => FetchErrorKind::Unavailable,
        _ => match status {
            429 => FetchErrorKind::Throttled,
            403 => FetchErrorKind::AccessDenied,
            // A proxy's page, or a code that is not known yet: a retry soon is better than none.
            _ => FetchErrorKind::Unavailable,
        },
    }
}

fn unavailable(detail: String) -> FetchError {
    FetchError { class: FetchErrorKind::Unavailable, code: None, detail }
}

/// The messages of all causes. The SDK's own printer adds `Debug` forms, which may quote a response.
fn chain(error: &(dyn Error + 'static)) -> String {
    causes(Some(error)).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'a>(first: Option<&'a (dyn Error + 'static)>) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(first, |&cause| cause.source())
}
