//! Policy granted a role, but the source issues no credentials for it.

use super::Remedy;
use crate::{
    credential::{FetchError, FetchErrorKind},
    credential_key::CredentialKey,
    role::CredentialSource,
};

/// The gateway has no token to send.
const NO_TOKEN: &str = "The gateway could not get a token for the pod's service account. Its log says why; the check \
                        `right-tokens` of `metagate doctor` says whether it may request one. With a roster from a \
                        file, its `token_file` must name a readable token.";

/// For one failed fetch. The sentence names nothing that the pod does not know.
pub fn of_fetch(error: &FetchError, key: &CredentialKey) -> Remedy {
    match error.class {
        FetchErrorKind::AccessDenied => at_the_role(key),
        // No AWS error code: AWS was not asked.
        FetchErrorKind::Token if error.code.is_none() => Remedy::say(NO_TOKEN),
        FetchErrorKind::Token => at_the_role(key),
        FetchErrorKind::Invalid
        | FetchErrorKind::Identity
        | FetchErrorKind::Throttled
        | FetchErrorKind::Unavailable => of_source(error.class),
    }
}

/// For the source as a whole, when only the kind of its last failure is known.
pub fn of_source(kind: FetchErrorKind) -> Remedy {
    let assume = trust_of_gateway();
    Remedy::say(match kind {
        FetchErrorKind::AccessDenied => {
            format!("{assume} For a service account's own role: {}", trust_of_cluster(None))
        }
        FetchErrorKind::Token => format!("{NO_TOKEN} If AWS rejected the token: {}", trust_of_cluster(None)),
        FetchErrorKind::Invalid => {
            "AWS rejects the request as invalid. Check the pod's role annotations, and the session \
                                tags and session policy that plugins add. The gateway's log has AWS's message."
                .to_owned()
        }
        FetchErrorKind::Identity => "AWS does not accept the gateway's own identity, or there is none. The checks \
                                 `identity` and `sts-clock` of `metagate doctor` say why."
            .to_owned(),
        FetchErrorKind::Throttled => {
            "STS limits the calls of an account. The gateway retries by itself, less often. If \
                                  this lasts, lower `credentials.concurrent_fetches` or raise \
                                  `credentials.session_duration`."
                .to_owned()
        }
        FetchErrorKind::Unavailable => {
            "STS does not answer. The gateway retries by itself. If this lasts, the check `sts` \
                                    of `metagate doctor` says why."
                .to_owned()
        }
    })
}

/// For the gateway's own GetCallerIdentity. `asked`: the gateway had an identity to ask with.
pub fn of_own_identity(kind: FetchErrorKind, asked: bool) -> Remedy {
    Remedy::say(match kind {
        FetchErrorKind::Throttled => "STS limits the calls of an account. Run this again later.",
        FetchErrorKind::AccessDenied => {
            "The policy of a VPC endpoint, or a service control policy, does not let this identity use STS here."
        }
        FetchErrorKind::Invalid | FetchErrorKind::Token | FetchErrorKind::Identity | FetchErrorKind::Unavailable => {
            match asked {
                false => {
                    "The node's role needs an instance profile; see also the check `node-imds`. Any other identity needs \
                 what `credentials.identity` names."
                }
                true => {
                    "STS does not accept it. See the check `sts-clock`, and whether its keys or its token are still valid."
                }
            }
        }
    })
}

fn at_the_role(key: &CredentialKey) -> Remedy {
    Remedy::say(trust(key)).with(format!("aws iam get-role --role-name {}", key.role().arn.name()))
}

/// What the role's trust policy must say.
fn trust(key: &CredentialKey) -> String {
    match (&key.role().source, key.subject()) {
        (CredentialSource::AssumeRole, _) => trust_of_gateway().to_owned(),
        (CredentialSource::WebIdentity { .. }, subject) => {
            let subject = subject.map(|subject| (subject.namespace.as_str(), subject.service_account.as_str()));
            trust_of_cluster(subject)
        }
    }
}

fn trust_of_gateway() -> &'static str {
    "The role's trust policy must name the gateway's role, and the gateway's role must allow sts:AssumeRole on it."
}

fn trust_of_cluster(subject: Option<(&str, &str)>) -> String {
    let (namespace, service_account) = subject.unwrap_or(("NAMESPACE", "SERVICE_ACCOUNT"));
    format!(
        "The role's trust policy must name this cluster's OIDC provider, with the subject \
         system:serviceaccount:{namespace}:{service_account}."
    )
}
