//! What the owner of a refused pod can do. Everybody who may read the pod's namespace reads it in an Event: it says no more
//! than the pod itself is told.

use super::{fetch, plugin};
use crate::{
    credential::{FaultClass, FetchError},
    policy::{Denial, Grant, POLICY},
    refusal::Refusal,
};

/// None where the owner has nothing to mend.
pub fn for_owner(refusal: &Refusal, grant: Option<&Grant>) -> Option<String> {
    match refusal {
        Refusal::Denied(denial) => Some(of_denial(denial)),
        Refusal::PluginFailed(fault) => Some(plugin::see_the_log(&fault.plugin)),
        Refusal::SourceDenied(error) | Refusal::SourceFailed { error, .. } => of_fetch(error, grant),
        // The request itself is wrong: its text says all.
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
        // A pod without a role may be meant to have none; who asks for another's is told so.
        Refusal::NoRole | Refusal::OtherRole => None,
        // Not known to be a pod of anybody's, or told by the roster.
        Refusal::CallerUnknown | Refusal::CallerAbsent | Refusal::CallerAmbiguous => None,
        // Passes by itself, or is the operator's to mend.
        Refusal::Overtaken
        | Refusal::Relisting
        | Refusal::BaseUnknown
        | Refusal::SourceSlow { .. }
        | Refusal::Upstream { .. }
        | Refusal::Stopping => None,
    }
}

/// What would permit it may tell of other roles: `explain` says that to operators.
fn of_denial(denial: &Denial) -> String {
    match denial.by.as_str() {
        POLICY => "The gateway's own rules decided it; `metagate explain` shows why.".to_owned(),
        plugin => format!("Policy plugin {plugin} decided it; `metagate explain` shows why."),
    }
}

fn of_fetch(error: &FetchError, grant: Option<&Grant>) -> Option<String> {
    match error.class {
        FaultClass::AccessDenied | FaultClass::Invalid | FaultClass::Token => Some(match grant {
            Some(grant) => fetch::of_fetch(error, grant.key()).say,
            None => fetch::of_source(error.class).say,
        }),
        // Passes by itself, or is the operator's to mend.
        FaultClass::Identity | FaultClass::Throttled | FaultClass::Unavailable => None,
    }
}
