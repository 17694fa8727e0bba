//! An API server on loopback HTTP/1: lists with pages, watches, Events, and bad days.
//!
//! Objects are JSON as they stand; whatever happened is kept in order, and a watch reads on from its resource version.

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

/// What is listed and watched here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pods,
    Namespaces,
    ServiceAccounts,
}

/// How a kind is answered until it is told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Every answer begins this late.
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
    /// Watches from before this version are told that it is gone.
    oldest: u64,
    objects: BTreeMap<(Kind, String, String), Value>,
    history: Vec<Happened>,
    faults: BTreeMap<Kind, Fault>,
    /// Bytes of a chunk of a watch; 0: one event each.
    chunk: usize,
    /// A watch that began before this cut ends.
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
    /// In good order, once everything is told.
    #[default]
    Behind,
    /// In good order, and nothing more is told.
    Now,
    /// In the middle of an object, and of the answer.
    Torn,
}

#[derive(Clone)]
struct Happened {
    version: u64,
    /// None: told to watches of every kind.
    kind: Option<Kind>,
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    what: &'static str,
    object: Value,
}

impl ApiServer {
    /// On a free port of 127.0.0.1, with nothing in it.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = State { version: 1, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Sender::new(()) });
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting: Mutex::new(Some(accepting)) })
    }

    /// A kubeconfig in `folder` that leads here.
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

    /// Creates the object or replaces it, as it stands: whatever is wrong with it is served.
    pub fn put(&self, kind: Kind, object: Value) {
        self.change(|state| {
            let key = key(kind, &object);
            let what = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
            let object = state.happen(Some(kind), what, object);
            state.objects.insert(key, object);
        });
    }

    /// Changes an object that is there.
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

    /// Forgets what happened until now, as etcd's compaction does: who watches from before has to list anew.
    pub fn compact(&self) {
        self.change(|state| {
            state.version += 1;
            state.oldest = state.version;
            state.history.clear();
        });
    }

    /// Tells every watch how far it has seen.
    pub fn bookmark(&self) {
        self.change(|state| {
            state.happen(None, "BOOKMARK", json!({ "metadata": {} }));
        });
    }

    /// Tells every watch that is open that its version is gone.
    pub fn expire(&self) {
        self.change(|state| {
            state.happen(None, "ERROR", serve::status(410, "Expired", "too old resource version"));
        });
    }

    /// Ends every watch that is open once it was told everything, as the API server does every few minutes.
    pub fn close(&self) {
        self.end_watches(Cut::Behind);
    }

    /// Ends every watch that is open, whatever it was not told yet.
    pub fn cut(&self) {
        self.end_watches(Cut::Now);
    }

    /// Ends every watch that is open with half an object and no end.
    pub fn tear(&self) {
        self.end_watches(Cut::Torn);
    }

    /// Sends watches in chunks of so many bytes, wherever an object ends.
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

    /// Ends every connection; from here on none is taken.
    pub async fn die(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // It was told to end.
            let _ = accepting.await;
        }
    }

    /// Takes connections again, where it did before.
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

    /// The requests for a list of that kind, or for a watch.
    pub fn asked_for(&self, kind: Kind, watch: bool) -> Vec<ReceivedRequest> {
        let of_kind = |asked: &ReceivedRequest| asked.path == kind.path() && asked.query.contains_key("watch") == watch;
        self.asked().into_iter().filter(of_kind).collect()
    }

    /// The Events that were created, as they stand now.
    pub fn events(&self) -> Vec<Value> {
        self.shared.lock().events.values().cloned().collect()
    }

    /// Wakes whenever anything here changes, and at each request.
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
