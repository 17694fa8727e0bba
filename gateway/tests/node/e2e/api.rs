//! The Kubernetes API as admin: what users, controllers and kubelets do.

use std::path::PathBuf;

use http::Method;
use serde_json::{Value, json};

use super::socket::{Body, send};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

#[derive(Clone)]
pub(crate) struct Api {
    socket: PathBuf,
}

impl Api {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, object: Value) -> Value {
        self.ask(Method::POST, path, Some((JSON, object))).await
    }

    pub(crate) async fn patch(&self, path: &str, patch: Value) -> Value {
        self.ask(Method::PATCH, path, Some((MERGE_PATCH, patch))).await
    }

    /// Deletes at once: there is no kubelet to end the pod.
    pub(crate) async fn delete(&self, path: &str) {
        self.ask(Method::DELETE, path, Some((JSON, json!({ "gracePeriodSeconds": 0 })))).await;
    }

    /// The first event of a watch of `path` that starts after `version`.
    pub(crate) async fn watch_from(&self, path: &str, version: &str) -> String {
        let path = format!("{path}?watch=1&timeoutSeconds=1&resourceVersion={version}");
        send(&self.socket, Method::GET, &path, None).await.unwrap().1
    }

    async fn ask(&self, method: Method, path: &str, body: Option<(&'static str, Value)>) -> Value {
        let body = body.map(|(content_type, value)| Body { content_type, text: value.to_string() });
        let (status, text) = send(&self.socket, method.clone(), path, body).await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Also creates the service account that a controller gives every namespace: this cluster has no controller.
    pub(crate) async fn create_namespace(&self, name: &str, annotations: Value) {
        let metadata = json!({ "name": name, "annotations": annotations });
        self.post("/api/v1/namespaces", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata })).await;
        self.create_service_account(name, "default", json!({})).await;
    }

    pub(crate) async fn annotate_namespace(&self, name: &str, annotations: Value) {
        let patch = json!({ "metadata": { "annotations": annotations } });
        self.patch(&format!("/api/v1/namespaces/{name}"), patch).await;
    }

    pub(crate) async fn create_service_account(&self, namespace: &str, name: &str, annotations: Value) {
        let metadata = json!({ "name": name, "annotations": annotations });
        let object = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata });
        self.post(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), object).await;
    }

    pub(crate) async fn annotate_service_account(&self, namespace: &str, name: &str, annotations: Value) {
        let patch = json!({ "metadata": { "annotations": annotations } });
        self.patch(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}"), patch).await;
    }
}
