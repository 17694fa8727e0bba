//! Kubernetes Events: what a pod's owner finds in `kubectl describe pod`.
//!
//! Whoever refuses says so once and goes on; publishing, with its limits, is a task of its own. An Event is read by
//! everybody who may read the pod's namespace, so it says no more than the pod itself is told, and how to mend it.

mod publish;

pub use publish::run;

use tokio::sync::mpsc;

use crate::{policy::Rejection, refusal::Refusal, role::CredentialSource, source::FaultClass, workload::Workload};

/// Refusals come in bursts, and the same ones again and again: what does not fit will be told of at its next occasion.
const QUEUED: usize = 256;

/// The API server refuses a longer note (Kubernetes API, Event v1 events.k8s.io: note, "at most 1kB").
const NOTE_MAX: usize = 1024;

/// Where to tell of something. Without anybody to hear of it, costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Notices(Option<mpsc::Sender<Notice>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub about: About,
    pub reason: Reason,
    /// What happened and how to mend it.
    pub note: String,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Policy said no.
    RoleDenied,
    PolicyFailed,
    /// AWS issues no credentials for the role.
    CredentialsRefused,
    /// Another live pod has the same address.
    AddressShared,
    /// The pod's own object makes no sense.
    PodMalformed,
    /// Its namespace or service account is not there.
    PodIncomplete,
}

impl Reason {
    pub fn label(self) -> &'static str {
        match self {
            Self::RoleDenied => "RoleDenied",
            Self::PolicyFailed => "PolicyFailed",
            Self::CredentialsRefused => "CredentialsRefused",
            Self::AddressShared => "AddressShared",
            Self::PodMalformed => "PodMalformed",
            Self::PodIncomplete => "PodIncomplete",
        }
    }
}

impl Notices {
    /// Notices, and where they arrive.
    pub fn channel() -> (Self, mpsc::Receiver<Notice>) {
        let (sender, receiver) = mpsc::channel(QUEUED);
        (Self(Some(sender)), receiver)
    }

    /// Never waits.
    pub fn tell(&self, notice: impl FnOnce() -> Option<Notice>) {
        let Some(sender) = &self.0 else { return };
        // Full: whatever goes on being refused will be told of later. Closed: the gateway stops.
        if let (Ok(place), Some(notice)) = (sender.try_reserve(), notice()) {
            place.send(notice);
        }
    }
}

impl Notice {
    /// None where the pod's owner has nothing to mend.
    pub fn of_refusal(workload: &Workload, refusal: &Refusal) -> Option<Self> {
        let (reason, cure) = match refusal {
            Refusal::Denied(denial) => {
                (Reason::RoleDenied, format!("Policy plugin {} decided it; `metagate explain` shows why.", denial.by))
            }
            Refusal::PluginFailed(_) => (Reason::PolicyFailed, "Its log and the gateway's say why.".to_owned()),
            Refusal::SourceDenied(_) => (Reason::CredentialsRefused, trust(workload)),
            Refusal::SourceFailed { error, .. } => {
                let cure = match (error.class, &error.code) {
                    (FaultClass::Invalid, _) => {
                        "Look at the role's annotations on this pod: AWS cannot make sense of them.".to_owned()
                    }
                    // AWS was not asked at all.
                    (FaultClass::Token, None) => {
                        "The gateway could not have a token made for the pod's service account; its log says why."
                            .to_owned()
                    }
                    (FaultClass::Token, Some(_)) => trust(workload),
                    _ => return None,
                };
                (Reason::CredentialsRefused, cure)
            }
            _ => return None,
        };
        let role = workload.memo.last_granted().map(|grant| format!("{}: ", grant.role().arn)).unwrap_or_default();
        Some(Self::new(About::from(workload), reason, format!("{role}{}. {cure}", refusal.text())))
    }

    /// What prefetching met, before the pod has asked.
    pub fn of_rejection(workload: &Workload, rejection: &Rejection) -> Option<Self> {
        Self::of_refusal(workload, &rejection.clone().into())
    }

    pub fn new(about: About, reason: Reason, note: impl Into<String>) -> Self {
        let mut note = note.into();
        note.truncate(note.floor_char_boundary(NOTE_MAX));
        Self { about, reason, note }
    }
}

/// What the role's trust policy must say.
pub(crate) fn trust(workload: &Workload) -> String {
    match workload.memo.last_granted().map(|grant| grant.role().source.clone()) {
        Some(CredentialSource::WebIdentity { .. }) => format!(
            "Let the role's trust policy name this cluster's OIDC provider, with the subject \
             system:serviceaccount:{}:{}.",
            workload.namespace, workload.service_account
        ),
        Some(CredentialSource::AssumeRole) | None => "Let the role's trust policy name the gateway's role, and the \
             gateway's role allow sts:AssumeRole on it."
            .to_owned(),
    }
}

impl From<&Workload> for About {
    fn from(workload: &Workload) -> Self {
        Self { namespace: workload.namespace.clone(), pod: workload.pod.clone(), uid: workload.uid.as_str().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{policy::Denial, source::FetchError};

    fn source(class: FaultClass) -> Arc<FetchError> {
        let detail = "User: arn:aws:sts::123456789012:assumed-role/node/i-1 is not authorized".to_owned();
        Arc::new(FetchError { class, code: Some("AccessDenied".into()), detail })
    }

    fn note(refusal: &Refusal) -> Option<(Reason, String)> {
        let workload = Workload { namespace: "payments".into(), pod: "checkout-0".into(), ..Workload::default() };
        Notice::of_refusal(&workload, refusal).map(|notice| (notice.reason, notice.note))
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
        let (_, text) = note(&Refusal::SourceDenied(source(FaultClass::AccessDenied))).unwrap();
        assert!(text.contains("AccessDenied") && !text.contains("assumed-role"), "{text}");
    }

    #[test]
    fn what_passes_by_itself_is_no_event() {
        let retry_after = std::time::Duration::from_secs(1);
        let throttled = Refusal::SourceFailed { error: source(FaultClass::Throttled), retry_after };
        for refusal in [throttled, Refusal::NoRole, Refusal::CallerUnknown, Refusal::Overtaken] {
            assert_eq!(note(&refusal), None, "{refusal:?}");
        }
    }

    #[test]
    fn a_note_is_never_longer_than_the_api_server_takes() {
        let about = About { namespace: "n".into(), pod: "p".into(), uid: "u".into() };
        let notice = Notice::new(about, Reason::RoleDenied, "é".repeat(1000));
        assert!(notice.note.len() <= NOTE_MAX && notice.note.len() > NOTE_MAX - 2);
    }

    #[test]
    fn whoever_tells_never_waits_and_nobody_hearing_costs_nothing() {
        Notices::default().tell(|| unreachable!("nobody hears of it"));
        let (notices, mut heard) = Notices::channel();
        let about = About { namespace: "n".into(), pod: "p".into(), uid: "u".into() };
        for _ in 0..QUEUED + 10 {
            notices.tell(|| Some(Notice::new(about.clone(), Reason::RoleDenied, "no")));
        }
        let mut count = 0;
        while heard.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, QUEUED);
    }
}
