//! The fake's requests and answers.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use super::{Fault, Kind, ReceivedRequest, Shared, watch::Watch};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/";
/// How many frames a watch may have that its client has not read yet.
const UNREAD: usize = 16;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // The connections are dropped with this task.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            // A client that disconnects is not a failure of the fake.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let asked = ReceivedRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: query(&head),
        accept: head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default().to_owned(),
    };
    shared.lock().asked.push(asked.clone());
    shared.changed.send_replace(());
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if let Some(event) = asked.path.strip_prefix(EVENTS) {
        return events(shared, &head.method, event, &body);
    }
    let Some(kind) = Kind::of_path(&asked.path) else { return refused(404, "NotFound", "no such resource") };
    let fault = shared.lock().faults.get(&kind).cloned().unwrap_or_default();
    match fault {
        Fault::None => {}
        Fault::Slow(pause) => tokio::time::sleep(pause).await,
        Fault::Silent => std::future::pending().await,
        Fault::Status(code) => return refused(code, "Refused", "this API server refuses everything"),
    }
    if asked.query.contains_key("watch") { watched(shared, kind, &asked) } else { listed(shared, kind, &asked) }
}

fn listed(shared: &Shared, kind: Kind, asked: &ReceivedRequest) -> Response<Body> {
    let state = shared.lock();
    let number = |name: &str| asked.query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (begin, limit) = (number("continue").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
    let all = state.objects.iter().filter(|((of, _, _), _)| *of == kind).map(|(_, object)| object);
    let all: Vec<&Value> = all.filter(|object| selected(object, asked)).collect();
    let page: Vec<Value> = all.iter().skip(begin).take(limit).map(|object| shown(object, asked)).collect();
    let end = begin.saturating_add(limit);
    let mut metadata = json!({ "resourceVersion": state.version.to_string() });
    if let Some(metadata) = metadata.as_object_mut()
        && end < all.len()
    {
        metadata.insert("continue".into(), json!(end.to_string()));
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page });
    reply(200, &list)
}

fn watched(shared: &Arc<Shared>, kind: Kind, asked: &ReceivedRequest) -> Response<Body> {
    let (frames, unread) = mpsc::channel(UNREAD);
    let watch = Watch::new(shared, kind, asked.clone(), frames);
    // The task ends with the connection, when nobody receives its frames any more.
    tokio::spawn(watch.run());
    let frames = stream::unfold(unread, |mut unread| async {
        let frame = unread.recv().await?;
        Some((frame.map(Frame::data), unread))
    });
    json_response(200, StreamBody::new(frames).boxed_unsync())
}

/// Events are created at `NAMESPACE/events` and patched at `NAMESPACE/events/NAME`.
fn events(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    let mut state = shared.lock();
    let Ok(sent) = serde_json::from_slice::<Value>(body) else { return refused(400, "BadRequest", "no JSON") };
    if state.events_refused {
        return refused(403, "Forbidden", "events are forbidden");
    }
    let stored = match (method, path.rsplit_once('/')) {
        (&Method::POST, Some((namespace, "events"))) => {
            let name = sent.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let at = format!("{namespace}/events/{name}");
            state.events.insert(at, sent.clone());
            sent
        }
        (&Method::PATCH, Some(_)) => {
            let Some(known) = state.events.get_mut(path) else { return refused(404, "NotFound", "no such event") };
            merge(known, sent);
            known.clone()
        }
        _ => return refused(405, "MethodNotAllowed", "events are created and patched"),
    };
    drop(state);
    shared.changed.send_replace(());
    reply(200, &stored)
}

/// RFC 7396.
fn merge(known: &mut Value, patch: Value) {
    match (known, patch) {
        (Value::Object(known), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    known.remove(&key);
                } else {
                    merge(known.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (known, patch) => *known = patch,
    }
}

/// Whether the field selector matches. Only the selector of a pod's node is implemented.
pub(super) fn selected(object: &Value, asked: &ReceivedRequest) -> bool {
    let node = asked.query.get("fieldSelector").and_then(|selector| selector.strip_prefix("spec.nodeName="));
    node.is_none_or(|node| object.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node))
}

/// The object, or only its metadata if the request asked for no more.
pub(super) fn shown(object: &Value, asked: &ReceivedRequest) -> Value {
    if !asked.accept.contains("as=PartialObjectMetadata") {
        return object.clone();
    }
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata })
}

pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}

fn refused(code: u16, reason: &str, message: &str) -> Response<Body> {
    reply(code, &status(code, reason, message))
}

fn reply(code: u16, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string()));
    json_response(code, body.map_err(|never: Infallible| match never {}).boxed_unsync())
}

fn json_response(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code.try_into().unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The queries here have no escapes but those of `=` and `,`.
fn query(head: &Parts) -> BTreeMap<String, String> {
    let pairs = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.replace("%3D", "=").replace("%2C", ","))).collect()
}
