//! The Kubernetes Event about a refusal, which a pod's owner sees in `kubectl describe pod`.
//!
//! Everybody who may read the pod's namespace can read its Events. So an Event contains what the pod itself is told,
//! and the cure, and nothing else.

use crate::{
    kubernetes::events::{PodEvent, PodRef, Reason},
    refusal::{Refusal, Refused},
    remedy,
    workload::Workload,
};

/// The Event about a refusal. None if the pod's owner can do nothing about it.
pub fn of_refusal(workload: &Workload, refused: &Refused) -> Option<PodEvent> {
    let reason = match &refused.refusal {
        Refusal::Denied(_) => Reason::RoleDenied,
        Refusal::PluginFailed(_) => Reason::PolicyFailed,
        Refusal::SourceDenied(_) | Refusal::SourceFailed { .. } => Reason::CredentialsRefused,
        _ => return None,
    };
    let grant = refused.decision.as_ref().and_then(|decision| decision.outcome.grant());
    let cure = remedy::for_owner(&refused.refusal, grant)?;
    let role = grant.map(|grant| format!("{}: ", grant.role().arn)).unwrap_or_default();
    Some(PodEvent::new(PodRef::from(workload), reason, format!("{role}{}. {cure}", refused.refusal.text())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        credential::{FetchError, FetchErrorKind},
        policy::{Decision, Denial},
    };

    fn source(class: FetchErrorKind) -> Arc<FetchError> {
        let detail = "User: arn:aws:sts::123456789012:assumed-role/node/i-1 is not authorized".to_owned();
        Arc::new(FetchError { class, code: Some("AccessDenied".into()), detail })
    }

    fn note(refusal: &Refusal) -> Option<(Reason, String)> {
        let workload = Workload { namespace: "payments".into(), pod: "checkout-0".into(), ..Workload::default() };
        of_refusal(&workload, &refusal.clone().into()).map(|event| (event.reason, event.note))
    }

    #[test]
    fn a_denial_is_told_with_its_reason_and_its_plugin() {
        let denial = Denial { by: "namespace-regex".into(), code: "not-permitted".into(), reason: "no".into() };
        let (reason, note) = note(&Refusal::Denied(Arc::new(denial))).unwrap();
        assert_eq!(reason, Reason::RoleDenied);
        assert!(note.contains("not-permitted: no") && note.contains("namespace-regex"), "{note}");
    }

    #[test]
    fn what_aws_said_in_full_is_in_no_event() {
        let (_, text) = note(&Refusal::SourceDenied(source(FetchErrorKind::AccessDenied))).unwrap();
        assert!(text.contains("AccessDenied") && !text.contains("assumed-role"), "{text}");
    }

    #[test]
    fn an_event_names_the_role_that_this_request_was_granted_and_no_other() {
        let workload = Workload { namespace: "payments".into(), pod: "checkout-0".into(), ..Workload::default() };
        let refusal = Refusal::SourceDenied(source(FetchErrorKind::AccessDenied));
        let decision = Arc::new(Decision::for_test(&workload, "arn:aws:iam::123456789012:role/web"));
        let note = |refused: Refused| of_refusal(&workload, &refused).unwrap().note;
        assert!(note(refusal.clone().after(&decision)).starts_with("arn:aws:iam::123456789012:role/web: "));
        assert!(!note(refusal.into()).contains("role/web"));
    }

    #[test]
    fn what_passes_by_itself_is_no_event() {
        let retry_after = std::time::Duration::from_secs(1);
        let throttled = Refusal::SourceFailed { error: source(FetchErrorKind::Throttled), retry_after };
        for refusal in [throttled, Refusal::NoRole, Refusal::CallerUnknown, Refusal::Overtaken, Refusal::Relisting] {
            assert_eq!(note(&refusal), None, "{refusal:?}");
        }
    }
}
