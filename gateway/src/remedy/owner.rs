//! What the owner of a refused pod can do. Everybody who may read the pod's namespace can read it in an Event, so it says no
//! more than the pod itself is told.

use super::{fetch, plugin};
use crate::{
    credential::{FetchError, FetchErrorKind},
    policy::{Denial, Grant, POLICY},
    refusal::Refusal,
};

/// None: the owner has nothing to mend.
pub fn for_owner(refusal: &Refusal, grant: Option<&Grant>) -> Option<String> {
    match refusal {
        Refusal::Denied(denial) => Some(of_denial(denial)),
        Refusal::PluginFailed(fault) => Some(plugin::see_the_log(&fault.plugin)),
        Refusal::SourceDenied(error) | Refusal::SourceFailed { error, .. } => of_fetch(error, grant),
        // The request itself is wrong, and the answer says how.
        Refusal::Path(_)
        | Refusal::Header(_)
        | Refusal::Body
        | Refusal::ForeignHost
        | Refusal::Method { .. }
        | Refusal::TokenTtl
        | Refusal::TokenForwarded
        | Refusal::TokenDated
        | Refusal::TokenAbsent
        | Refusal::Token(_)
        | Refusal::TokenOfAnother
        | Refusal::NoSuchPath => None,
        // A pod may be meant to have no role. A pod that asks for another role reads so in the answer.
        Refusal::NoRole | Refusal::OtherRole => None,
        // There is no pod to put an Event on; the roster tells of shared addresses.
        Refusal::CallerUnknown | Refusal::CallerAbsent | Refusal::CallerAmbiguous => None,
        // Passes by itself, or only the operator can mend it.
        Refusal::Overtaken
        | Refusal::Relisting
        | Refusal::BaseUnknown
        | Refusal::SourceSlow { .. }
        | Refusal::Upstream { .. }
        | Refusal::Stopping => None,
    }
}

/// What would permit the role may name other roles, so only `explain` says that, to operators.
fn of_denial(denial: &Denial) -> String {
    match denial.by.as_str() {
        POLICY => "The gateway's own rules denied it; `metagate explain` shows why.".to_owned(),
        plugin => format!("Policy plugin {plugin} denied it; `metagate explain` shows why."),
    }
}

fn of_fetch(error: &FetchError, grant: Option<&Grant>) -> Option<String> {
    match error.class {
        FetchErrorKind::AccessDenied | FetchErrorKind::Invalid | FetchErrorKind::Token => Some(match grant {
            Some(grant) => fetch::of_fetch(error, grant.key()).say,
            None => fetch::of_source(error.class).say,
        }),
        // Passes by itself, or only the operator can mend it.
        FetchErrorKind::Identity | FetchErrorKind::Throttled | FetchErrorKind::Unavailable => None,
    }
}
