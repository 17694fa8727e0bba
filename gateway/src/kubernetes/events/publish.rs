//! Publishes Kubernetes Events: each once, then every few minutes as long as its cause lasts.

use std::{collections::HashMap, time::Duration};

use ::kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{PodEvent, PodRef, Reason};

/// How often the same Event is published for the same pod. Below the six minutes for which the recorder counts
/// repetitions in one Event, so that `kubectl describe` shows one line with a count.
const REPEATED: Duration = Duration::from_secs(5 * 60);
/// The pause before a retry of an Event that the API server did not accept.
const RETRY: Duration = Duration::from_secs(30);
/// The pause between two Events of this node, whatever their pods: a thousand denied pods must not load the API server.
const INTERVAL: Duration = Duration::from_millis(200);
/// Longer than an API server under load takes; an Event is not worth a longer wait.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The limit of remembered Events: above the pods of a node times the reasons.
const REMEMBERED: usize = 4096;

/// Publishes until `stop`. An Event that cannot be published is logged and dropped: the log has every refusal anyway.
pub async fn run(client: Client, node: String, mut events: mpsc::Receiver<PodEvent>, stop: CancellationToken) {
    let reporter = Reporter { controller: "metagate".into(), instance: Some(node).filter(|node| !node.is_empty()) };
    let mut published = Published(HashMap::new());
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        let Some(event) = event else { return };
        let recorder = || Recorder::new(client.clone(), reporter.clone());
        let Some(recorder) = published.due(&event, Instant::now(), recorder) else { continue };
        if !publish(&recorder, &event).await {
            published.retry_soon(&event, Instant::now());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Returns whether the API server accepted the Event.
async fn publish(recorder: &Recorder, event: &PodEvent) -> bool {
    let published = Event {
        type_: EventType::Warning,
        reason: event.reason.label().to_owned(),
        note: Some(event.note.clone()),
        action: "Credentials".into(),
        secondary: None,
    };
    let object = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(event.pod.namespace.clone()),
        name: Some(event.pod.pod.clone()),
        uid: Some(event.pod.uid.clone()),
        ..ObjectReference::default()
    };
    let answer = tokio::time::timeout(TIMEOUT, recorder.publish(&published, &object)).await;
    let problem = match answer {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the API server did not answer within {TIMEOUT:?}"),
    };
    tracing::warn!(
        namespace = event.pod.namespace,
        pod = event.pod.pod,
        reason = event.reason.label(),
        problem,
        "event not published; it needs create and patch on events of events.k8s.io, or kubernetes.events = false"
    );
    false
}

/// The published Events by pod, reason and note, each with its time and its recorder. A recorder counts all Events of
/// the same reason as one and keeps the first note; with a recorder for each note, none is lost.
struct Published<R = Recorder>(HashMap<(PodRef, Reason, String), (Instant, R)>);

impl<R: Clone> Published<R> {
    /// The recorder of an Event that is due now, and the Event then counts as published. None if it is not due.
    fn due(&mut self, event: &PodEvent, now: Instant, recorder: impl FnOnce() -> R) -> Option<R> {
        let key = (event.pod.clone(), event.reason, event.note.clone());
        if let Some((at, recorder)) = self.0.get_mut(&key) {
            if now < *at + REPEATED {
                return None;
            }
            *at = now;
            return Some(recorder.clone());
        }
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, (at, _)| now < *at + REPEATED);
        }
        // Full of recent Events: this one has to wait.
        if self.0.len() >= REMEMBERED {
            return None;
        }
        let recorder = recorder();
        self.0.insert(key, (now, recorder.clone()));
        Some(recorder)
    }

    /// After a failure: makes the Event due again after [`RETRY`].
    fn retry_soon(&mut self, event: &PodEvent, now: Instant) {
        let key = (event.pod.clone(), event.reason, event.note.clone());
        if let (Some((at, _)), Some(earlier)) = (self.0.get_mut(&key), now.checked_sub(REPEATED - RETRY)) {
            *at = earlier;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Published<u32> {
        fn is_due(&mut self, event: &PodEvent, now: Instant) -> bool {
            self.due(event, now, || 0).is_some()
        }
    }

    fn event(uid: &str, note: &str) -> PodEvent {
        let pod = PodRef { namespace: "n".into(), pod: "p".into(), uid: uid.into() };
        PodEvent::new(pod, Reason::RoleDenied, note)
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_event_is_published_once_in_five_minutes() {
        let mut published = Published::<u32>(HashMap::new());
        let start = Instant::now();
        assert!(published.is_due(&event("a", "no"), start));
        assert!(!published.is_due(&event("a", "no"), start + REPEATED - Duration::from_secs(1)));
        assert!(published.is_due(&event("a", "no"), start + REPEATED));
        assert!(published.is_due(&event("b", "no"), start), "another pod's Event is another Event");
        assert!(published.is_due(&event("a", "another reason"), start));
    }

    #[tokio::test(start_paused = true)]
    async fn a_repetition_has_the_same_recorder_and_another_note_has_another() {
        let mut published = Published(HashMap::new());
        let start = Instant::now();
        assert_eq!(published.due(&event("a", "no"), start, || 1), Some(1));
        assert_eq!(published.due(&event("a", "another"), start, || 2), Some(2));
        assert_eq!(published.due(&event("a", "no"), start + REPEATED, || 3), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_was_not_accepted_is_retried_soon() {
        let mut published = Published::<u32>(HashMap::new());
        let start = Instant::now();
        assert!(published.is_due(&event("a", "no"), start));
        published.retry_soon(&event("a", "no"), start);
        assert!(!published.is_due(&event("a", "no"), start + RETRY - Duration::from_secs(1)));
        assert!(published.is_due(&event("a", "no"), start + RETRY));
    }

    #[tokio::test(start_paused = true)]
    async fn remembered_events_have_a_bound_and_make_room_again() {
        let mut published = Published::<u32>(HashMap::new());
        let start = Instant::now();
        for pod in 0..REMEMBERED {
            assert!(published.is_due(&event(&pod.to_string(), "no"), start));
        }
        assert!(!published.is_due(&event("one more", "no"), start));
        assert!(published.is_due(&event("one more", "no"), start + REPEATED));
        assert_eq!(published.0.len(), 1);
    }
}
