//! An API server on loopback HTTP/1: paged lists, watches, Events, and faults.
//!
//! Objects are JSON, stored as given. All changes are stored in order, and a watch reads on from its resource version.

mod serve;
mod watch;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::watch::{Receiver, Sender},
    task::JoinHandle,
};

/// Stops when dropped.
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// The kinds that can be listed and watched here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pods,
    Namespaces,
    ServiceAccounts,
}

/// How requests for a kind are answered until the next `set_fault`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Every answer is delayed by this time.
    Slow(Duration),
    /// No answer ever begins.
    Silent,
    /// Every request is refused with this status.
    Status(u16),
}

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRequest {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub accept: String,
}

struct Shared {
    state: Mutex<State>,
    changed: Sender<()>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Watches from before this version get an `Expired` error.
    oldest: u64,
    objects: BTreeMap<(Kind, String, String), Value>,
    history: Vec<Happened>,
    faults: BTreeMap<Kind, Fault>,
    /// Bytes per chunk of a watch; 0: one chunk per event.
    chunk: usize,
    /// How many cuts there were; a watch that began before the last one ends.
    cuts: u64,
    cut: Cut,
    asked: Vec<ReceivedRequest>,
    events: BTreeMap<String, Value>,
    /// Whether each Event request is refused.
    events_refused: bool,
}

/// How a watch ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cut {
    /// In good order, once everything was sent.
    #[default]
    Behind,
    /// In good order, and nothing more is sent.
    Now,
    /// In the middle of an object and of the response.
    Torn,
}

#[derive(Clone)]
struct Happened {
    version: u64,
    /// None: sent to watches of every kind.
    kind: Option<Kind>,
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    what: &'static str,
    object: Value,
}

impl ApiServer {
    /// Listens on a free port of 127.0.0.1, without objects.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = State { version: 1, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Sender::new(()) });
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting: Mutex::new(Some(accepting)) })
    }

    /// Writes a kubeconfig into `folder` that points here.
    pub fn kubeconfig(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = folder.join("kubeconfig.json");
        let named = |what: &str, value: Value| json!([{ "name": "fake", what: value }]);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": named("cluster", json!({ "server": format!("http://{}", self.address) })),
            "users": named("user", json!({})),
            "contexts": named("context", json!({ "cluster": "fake", "user": "fake" })),
        });
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// Creates or replaces the object, and serves it as given, even if it is invalid.
    pub fn put(&self, kind: Kind, object: Value) {
        self.change(|state| {
            let key = key(kind, &object);
            let what = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
            let object = state.happen(Some(kind), what, object);
            state.objects.insert(key, object);
        });
    }

    /// Changes an existing object.
    pub fn edit(&self, kind: Kind, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let object = self.shared.lock().objects.get(&key).cloned();
        if let Some(mut object) = object {
            change(&mut object);
            self.put(kind, object);
        }
    }

    pub fn delete(&self, kind: Kind, namespace: &str, name: &str) {
        self.change(|state| {
            if let Some(object) = state.objects.remove(&(kind, namespace.to_owned(), name.to_owned())) {
                state.happen(Some(kind), "DELETED", object);
            }
        });
    }

    /// Forgets the history, as etcd's compaction does: a watch from an older version has to relist.
    pub fn compact(&self) {
        self.change(|state| {
            state.version += 1;
            state.oldest = state.version;
            state.history.clear();
        });
    }

    /// Sends a bookmark to every watch.
    pub fn bookmark(&self) {
        self.change(|state| {
            state.happen(None, "BOOKMARK", json!({ "metadata": {} }));
        });
    }

    /// Tells every open watch that its version is gone.
    pub fn expire(&self) {
        self.change(|state| {
            state.happen(None, "ERROR", serve::status(410, "Expired", "too old resource version"));
        });
    }

    /// Ends every open watch once it was sent everything, as the API server does every few minutes.
    pub fn close(&self) {
        self.end_watches(Cut::Behind);
    }

    /// Ends every open watch, even if it was not sent everything yet.
    pub fn cut(&self) {
        self.end_watches(Cut::Now);
    }

    /// Ends every open watch in the middle of an object, without an end.
    pub fn tear(&self) {
        self.end_watches(Cut::Torn);
    }

    /// Sends watches in chunks of this many bytes, without regard to where an object ends.
    pub fn set_chunk(&self, bytes: usize) {
        self.change(|state| state.chunk = bytes);
    }

    pub fn set_fault(&self, kind: Kind, fault: Fault) {
        self.change(|state| {
            state.faults.insert(kind, fault);
        });
    }

    pub fn refuse_events(&self, refused: bool) {
        self.change(|state| state.events_refused = refused);
    }

    /// Ends every connection, and accepts no more.
    pub async fn die(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The task was aborted on purpose.
            let _ = accepting.await;
        }
    }

    /// Accepts connections again, on the same address.
    pub async fn revive(&self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&self.shared)));
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepting);
        Ok(())
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().asked.clone()
    }

    /// The list requests for that kind, or its watch requests.
    pub fn asked_for(&self, kind: Kind, watch: bool) -> Vec<ReceivedRequest> {
        let of_kind = |asked: &ReceivedRequest| asked.path == kind.path() && asked.query.contains_key("watch") == watch;
        self.asked().into_iter().filter(of_kind).collect()
    }

    /// The Events that were created, in their present state.
    pub fn events(&self) -> Vec<Value> {
        self.shared.lock().events.values().cloned().collect()
    }

    /// Notifies of every change here, and of each request.
    pub fn changes(&self) -> Receiver<()> {
        self.shared.changed.subscribe()
    }

    fn end_watches(&self, cut: Cut) {
        self.change(|state| {
            state.cuts += 1;
            state.cut = cut;
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.lock());
        self.shared.changed.send_replace(());
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        accepting.inspect(JoinHandle::abort);
    }
}

impl Kind {
    pub(self) fn path(self) -> &'static str {
        match self {
            Self::Pods => "/api/v1/pods",
            Self::Namespaces => "/api/v1/namespaces",
            Self::ServiceAccounts => "/api/v1/serviceaccounts",
        }
    }

    fn of_path(path: &str) -> Option<Self> {
        [Self::Pods, Self::Namespaces, Self::ServiceAccounts].into_iter().find(|kind| kind.path() == path)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives the object the next version and tells the watches.
    fn happen(&mut self, kind: Option<Kind>, what: &'static str, mut object: Value) -> Value {
        self.version += 1;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".into(), json!(self.version.to_string()));
        }
        self.history.push(Happened { version: self.version, kind, what, object: object.clone() });
        object
    }
}

fn key(kind: Kind, object: &Value) -> (Kind, String, String) {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (kind, text("/metadata/namespace"), text("/metadata/name"))
}
