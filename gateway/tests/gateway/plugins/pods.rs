//! Pods that tell each guest what to do.

use metagate::roster::Entry;
use metagate::{
    pairs::Pairs,
    workload::{Uid, Workload},
};
use serde_json::{Value, json};

/// A pod whose annotations tell the guests of these names what to do.
pub(crate) fn pod(scripts: &[(&str, Value)]) -> Workload {
    Workload {
        namespace: "payments".into(),
        pod: "checkout-0".into(),
        uid: Uid::derived("payments", "checkout-0"),
        service_account: "checkout".into(),
        annotations: scripts.iter().map(|(guest, action)| ((*guest).to_owned(), action.to_string())).collect(),
        ..Workload::default()
    }
}

/// A pod that gets a role from the first guest and permission from the second.
pub(crate) fn harmless() -> Workload {
    pod(&[("first", role("web")), ("second", allow())])
}

pub(crate) fn labelled(mut pod: Workload, key: &str, value: &str) -> Workload {
    pod.labels = pod.labels.with([(key, value)]);
    pod
}

pub(crate) fn annotated(mut pod: Workload, key: &str, value: &str) -> Workload {
    pod.annotations = pod.annotations.with([(key, value)]);
    pod
}

pub(crate) fn running(mut pod: Workload, container: &str, image: &str) -> Workload {
    pod.images = pod.images.with([(container, image)]);
    pod
}

pub(crate) fn numbered(prefix: &str, count: usize) -> Pairs {
    (0..count).map(|number| (format!("{prefix}{number:05}"), "x".into())).collect()
}

/// The same content in another value, which a roster makes when it reads the same again.
pub(crate) fn again(pod: &Workload) -> Entry {
    Entry::from(Workload {
        namespace: pod.namespace.clone(),
        pod: pod.pod.clone(),
        uid: pod.uid.clone(),
        service_account: pod.service_account.clone(),
        labels: pod.labels.clone(),
        annotations: pod.annotations.clone(),
        images: pod.images.clone(),
        ..Workload::default()
    })
}

pub(crate) fn role(written: &str) -> Value {
    role_with(json!({ "arn": written }))
}

pub(crate) fn role_with(role: Value) -> Value {
    json!({ "on": "resolve", "do": "role", "role": role })
}

pub(crate) fn allow() -> Value {
    does("authorize", "allow")
}

pub(crate) fn deny(phase: &str, code: &str) -> Value {
    json!({ "on": phase, "do": "deny", "code": code, "reason": "because of a rule" })
}

pub(crate) fn does(phase: &str, action: &str) -> Value {
    json!({ "on": phase, "do": action })
}

pub(crate) fn much(phase: &str, action: &str, size: usize) -> Value {
    json!({ "on": phase, "do": action, "size": size })
}
