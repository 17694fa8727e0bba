//! Kubernetes Events: what a pod's owner finds in `kubectl describe pod`.
//!
//! The code that refuses sends an Event and goes on. A task of its own publishes it, with limits.

mod publish;

pub use publish::run;

use tokio::sync::mpsc;

use crate::workload::Workload;

/// Refusals come in bursts and repeat. An Event that does not fit in the queue is sent at the refusal's next
/// repetition.
const QUEUED: usize = 256;

/// The API server refuses a longer note (Kubernetes API, Event v1 events.k8s.io: note, "at most 1kB").
const NOTE_MAX: usize = 1024;

/// Sends Events to the task that publishes them. The default sends nowhere and costs nothing.
#[derive(Clone, Debug, Default)]
pub struct EventSender(Option<mpsc::Sender<PodEvent>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    pub pod: PodRef,
    pub reason: Reason,
    /// What happened, and the cure.
    pub note: String,
}

/// The pod that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRef {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Policy denied a role.
    RoleDenied,
    PolicyFailed,
    /// AWS issues no credentials for the role.
    CredentialsRefused,
    /// Another live pod has the same address.
    AddressShared,
    /// The pod's own object cannot be read.
    PodMalformed,
    /// The pod's namespace or service account does not exist.
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

impl EventSender {
    /// A sender, and the receiver of its Events.
    pub fn channel() -> (Self, mpsc::Receiver<PodEvent>) {
        let (sender, receiver) = mpsc::channel(QUEUED);
        (Self(Some(sender)), receiver)
    }

    /// Never waits. `event` is called only if there is room for it.
    pub fn send(&self, event: impl FnOnce() -> Option<PodEvent>) {
        let Some(sender) = &self.0 else { return };
        // Full: the next repetition of the refusal will send its Event. Closed: the gateway stops.
        if let (Ok(place), Some(event)) = (sender.try_reserve(), event()) {
            place.send(event);
        }
    }
}

impl PodEvent {
    pub fn new(pod: PodRef, reason: Reason, note: impl Into<String>) -> Self {
        let mut note = note.into();
        note.truncate(note.floor_char_boundary(NOTE_MAX));
        Self { pod, reason, note }
    }
}

impl From<&Workload> for PodRef {
    fn from(workload: &Workload) -> Self {
        Self { namespace: workload.namespace.clone(), pod: workload.pod.clone(), uid: workload.uid.as_str().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_never_longer_than_the_api_server_takes() {
        let pod = PodRef { namespace: "n".into(), pod: "p".into(), uid: "u".into() };
        let event = PodEvent::new(pod, Reason::RoleDenied, "é".repeat(1000));
        assert!(event.note.len() <= NOTE_MAX && event.note.len() > NOTE_MAX - 2);
    }

    #[test]
    fn a_sender_never_waits_and_one_without_a_receiver_makes_no_event() {
        EventSender::default().send(|| unreachable!("there is no receiver"));
        let (events, mut received) = EventSender::channel();
        let pod = PodRef { namespace: "n".into(), pod: "p".into(), uid: "u".into() };
        for _ in 0..QUEUED + 10 {
            events.send(|| Some(PodEvent::new(pod.clone(), Reason::RoleDenied, "no")));
        }
        let mut count = 0;
        while received.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, QUEUED);
    }
}
