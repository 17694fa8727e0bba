//! From notices to Events: each said once, then every few minutes as long as it goes on.

use std::{collections::HashMap, time::Duration};

use ::kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{About, Notice, Reason};

/// How often the same is said of the same pod. Below the six minutes for which the recorder counts repetitions in one
/// Event, so that `kubectl describe` shows one line with a count.
const REPEATED: Duration = Duration::from_secs(5 * 60);
/// How soon the same is said again that the API server did not take.
const UNHEARD: Duration = Duration::from_secs(30);
/// Between two Events of this node, whomever they concern: a thousand denied pods are not the API server's problem.
const PACE: Duration = Duration::from_millis(200);
/// Longer than an API server under load takes; an Event is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Remembered at most: above the pods of a node times the reasons.
const REMEMBERED: usize = 4096;

/// Publishes until `stop`. What cannot be published is logged and lost: the log has every refusal anyway.
pub async fn run(client: Client, node: String, mut notices: mpsc::Receiver<Notice>, stop: CancellationToken) {
    let reporter = Reporter { controller: "metagate".into(), instance: Some(node).filter(|node| !node.is_empty()) };
    let mut said = Said(HashMap::new());
    loop {
        let notice = tokio::select! {
            () = stop.cancelled() => return,
            notice = notices.recv() => notice,
        };
        let Some(notice) = notice else { return };
        let recorder = || Recorder::new(client.clone(), reporter.clone());
        let Some(recorder) = said.due(&notice, Instant::now(), recorder) else { continue };
        if !publish(&recorder, &notice).await {
            said.unsaid(&notice, Instant::now());
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Whether it was taken.
async fn publish(recorder: &Recorder, notice: &Notice) -> bool {
    let event = Event {
        type_: EventType::Warning,
        reason: notice.reason.label().to_owned(),
        note: Some(notice.note.clone()),
        action: "Credentials".into(),
        secondary: None,
    };
    let about = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(notice.about.namespace.clone()),
        name: Some(notice.about.pod.clone()),
        uid: Some(notice.about.uid.clone()),
        ..ObjectReference::default()
    };
    let published = tokio::time::timeout(PATIENCE, recorder.publish(&event, &about)).await;
    let problem = match published {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the API server did not answer within {PATIENCE:?}"),
    };
    tracing::warn!(
        namespace = notice.about.namespace,
        pod = notice.about.pod,
        reason = notice.reason.label(),
        problem,
        "event not published; it needs create and patch on events of events.k8s.io, or kubernetes.events = false"
    );
    false
}

/// What was said, of whom, when, and by which recorder. A recorder counts whatever has the same reason in one Event and
/// keeps the first one's note; with one for each note, none is lost.
struct Said<R = Recorder>(HashMap<(About, Reason, String), (Instant, R)>);

impl<R: Clone> Said<R> {
    /// Who is to say it, where it is to be said now; then it counts as said.
    fn due(&mut self, notice: &Notice, now: Instant, recorder: impl FnOnce() -> R) -> Option<R> {
        let key = (notice.about.clone(), notice.reason, notice.note.clone());
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
        // Full of what was said just now: the rest has to wait.
        if self.0.len() >= REMEMBERED {
            return None;
        }
        let recorder = recorder();
        self.0.insert(key, (now, recorder.clone()));
        Some(recorder)
    }

    /// It was not heard: it may be said again soon.
    fn unsaid(&mut self, notice: &Notice, now: Instant) {
        let key = (notice.about.clone(), notice.reason, notice.note.clone());
        if let (Some((at, _)), Some(earlier)) = (self.0.get_mut(&key), now.checked_sub(REPEATED - UNHEARD)) {
            *at = earlier;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Said<u32> {
        fn is_due(&mut self, notice: &Notice, now: Instant) -> bool {
            self.due(notice, now, || 0).is_some()
        }
    }

    fn notice(uid: &str, note: &str) -> Notice {
        let about = About { namespace: "n".into(), pod: "p".into(), uid: uid.into() };
        Notice::new(about, Reason::RoleDenied, note)
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_in_five_minutes() {
        let mut said = Said::<u32>(HashMap::new());
        let start = Instant::now();
        assert!(said.is_due(&notice("a", "no"), start));
        assert!(!said.is_due(&notice("a", "no"), start + REPEATED - Duration::from_secs(1)));
        assert!(said.is_due(&notice("a", "no"), start + REPEATED));
        assert!(said.is_due(&notice("b", "no"), start), "another pod's is another's");
        assert!(said.is_due(&notice("a", "another reason"), start));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_again_by_the_same_recorder_and_another_note_by_another() {
        let mut said = Said(HashMap::new());
        let start = Instant::now();
        assert_eq!(said.due(&notice("a", "no"), start, || 1), Some(1));
        assert_eq!(said.due(&notice("a", "another"), start, || 2), Some(2));
        assert_eq!(said.due(&notice("a", "no"), start + REPEATED, || 3), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_heard_is_said_again_soon() {
        let mut said = Said::<u32>(HashMap::new());
        let start = Instant::now();
        assert!(said.is_due(&notice("a", "no"), start));
        said.unsaid(&notice("a", "no"), start);
        assert!(!said.is_due(&notice("a", "no"), start + UNHEARD - Duration::from_secs(1)));
        assert!(said.is_due(&notice("a", "no"), start + UNHEARD));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_has_a_bound_and_makes_room_again() {
        let mut said = Said::<u32>(HashMap::new());
        let start = Instant::now();
        for pod in 0..REMEMBERED {
            assert!(said.is_due(&notice(&pod.to_string(), "no"), start));
        }
        assert!(!said.is_due(&notice("one more", "no"), start));
        assert!(said.is_due(&notice("one more", "no"), start + REPEATED));
        assert_eq!(said.0.len(), 1);
    }
}
