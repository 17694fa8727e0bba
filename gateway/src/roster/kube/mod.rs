//! The pods of this node, as the API server tells of them.
//!
//! Three watches (pods of this node, namespaces, service accounts) feed one index. Relists, expired watches and bookmarks
//! are `kube`'s; while the API server is away, what was published last stands.

mod contact;
mod index;
mod object;
mod pace;
mod table;

use std::{net::IpAddr, sync::Arc, time::Duration};

use ::kube::{
    Api, Client,
    core::{DeserializeGuard, PartialObjectMeta, Resource},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    contact::{Contact, Watch},
    index::{Index, WatchChange},
    object::{Described, Pod, name_of},
    pace::Pace,
    table::{Change, Name},
};
use crate::{
    clock::Clock,
    interest::Interest,
    kubernetes::{
        Cluster, ClusterError,
        events::{EventSender, PodEvent, PodRef, Reason},
    },
    roster::{Feed, Knowledge},
    workload::Workload,
};

/// A pod's object has up to 1.5 MiB (etcd's limit), and a page of them is held several times over while it is parsed. A
/// node's 110 pods are three pages.
const PODS_A_PAGE: u32 = 50;
/// The API server says when a pod's grace ends by the wall clock, which may be set meanwhile: no wait for it is longer.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long a watch lasts, in seconds, before the API server ends it and it is resumed. A connection that died without a
/// word is found out 5 s later. A thousand nodes resume 50 watches a second.
const WATCH_LASTS: u32 = 60;
/// Events that are taken in one go before their outcome is published.
const BATCH: usize = 1024;

/// The watches of one node, not begun yet.
pub struct Watched {
    cluster: Cluster,
    node: String,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "roster.source = \"kubernetes\" needs this node's name: set roster.node, or the variable NODE_NAME from \
         spec.nodeName as the DaemonSet does"
    )]
    NoNode,
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Who else is concerned by the roster's work.
pub struct Beside {
    pub clock: Clock,
    pub events: EventSender,
    /// What policy reads of objects; asked again whenever `rules` changes.
    pub interest: Box<dyn Fn() -> Interest + Send + Sync>,
    pub rules: watch::Receiver<()>,
}

struct Clients {
    pods: Client,
    namespaces: Client,
    accounts: Client,
}

/// One event of one watch.
type Heard = (Watch, Result<WatchChange, watcher::Error>, Option<PodEvent>);
type Events = stream::BoxStream<'static, Heard>;

impl Watched {
    pub fn new(cluster: Cluster, node: &str) -> Result<Self, OpenError> {
        if node.is_empty() {
            return Err(OpenError::NoNode);
        }
        // A client that cannot be made is told of at start.
        cluster.client()?;
        Ok(Self { cluster, node: node.to_owned() })
    }

    /// Publishes each change until `stop`.
    pub async fn run(self, feed: Arc<Feed>, mut beside: Beside, stop: CancellationToken) {
        let contact = Contact::new(Arc::clone(&feed));
        tokio::select! {
            () = stop.cancelled() => {}
            () = async {
                let clients = self.clients(&contact, &beside.clock).await;
                loop {
                    beside.rules.borrow_and_update();
                    let interest = Arc::new((beside.interest)());
                    let events = self.events(&clients, &interest, &beside.clock);
                    let followed = self.follow(events, &interest, &feed, &contact, &beside);
                    let stale = another_interest(beside.rules.clone(), &beside.interest, &interest);
                    tokio::select! {
                        () = followed => {}
                        () = stale => tracing::info!("policy reads other labels, annotations or images now; listing anew"),
                    }
                }
            } => {}
        }
    }

    /// One for each watch, which tells when it hears something. That they can be made was seen at start; files that they are
    /// made from may be away for a while since.
    async fn clients(&self, contact: &Contact, clock: &Clock) -> Clients {
        let client = |watch: Watch| {
            let contact = contact.clone();
            self.cluster.client_that_hears(move || {
                if contact.heard(watch) {
                    tracing::info!(watch = watch.label(), "the API server answers again");
                }
            })
        };
        loop {
            let made = client(Watch::Pods).and_then(|pods| {
                Ok(Clients { pods, namespaces: client(Watch::Namespaces)?, accounts: client(Watch::Accounts)? })
            });
            match made {
                Ok(clients) => return clients,
                Err(error) => tracing::error!(%error, "the roster cannot be watched yet"),
            }
            contact.lost(Watch::Pods, clock.now());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn events(&self, clients: &Clients, interest: &Arc<Interest>, clock: &Clock) -> Events {
        let all = watcher::Config::default().timeout(WATCH_LASTS);
        let ours = all.clone().fields(&format!("spec.nodeName={}", self.node)).page_size(PODS_A_PAGE);
        let pods: Api<DeserializeGuard<Pod>> = Api::all(clients.pods.clone());
        let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(clients.namespaces.clone());
        let accounts: Api<PartialObjectMeta<ServiceAccount>> = Api::all(clients.accounts.clone());
        let (node, clock) = (self.node.clone(), clock.clone());
        let (for_pods, for_namespaces, for_accounts) =
            (Arc::clone(interest), Arc::clone(interest), Arc::clone(interest));
        let pods = heard(Watch::Pods, watcher(pods, ours), move |pod: DeserializeGuard<Pod>| {
            let (name, uid) = (name_of(pod.meta()), pod.meta().uid.clone());
            let read = pod.0.map_err(|invalid| invalid.error);
            let read = read.and_then(|pod| pod.read(&node, &for_pods, clock.now()).map_err(|error| error.to_string()));
            match read {
                Ok(live) => (name, live, None),
                Err(why) => {
                    let pod_event = malformed(&name, uid, &why);
                    (name, None, Some(pod_event))
                }
            }
        });
        let namespaces = heard(Watch::Namespaces, watcher(namespaces, all.clone()), move |object| {
            (name_of(&object.metadata), Some(Described::namespace(object.metadata, &for_namespaces)), None)
        });
        let accounts = heard(Watch::Accounts, watcher(accounts, all), move |object| {
            (name_of(&object.metadata), Some(Described::service_account(object.metadata, &for_accounts)), None)
        });
        let pods = pods.map(|(watch, change, pod_event)| (watch, change.map(WatchChange::Pod), pod_event));
        let namespaces =
            namespaces.map(|(watch, change, pod_event)| (watch, change.map(WatchChange::Namespace), pod_event));
        let accounts = accounts.map(|(watch, change, pod_event)| (watch, change.map(WatchChange::Account), pod_event));
        stream::select_all([pods.boxed(), namespaces.boxed(), accounts.boxed()]).boxed()
    }

    /// Ends only where the watches do, which they do not.
    async fn follow(
        &self,
        mut events: Events,
        interest: &Arc<Interest>,
        feed: &Feed,
        contact: &Contact,
        beside: &Beside,
    ) {
        let mut index = Index::new(&self.node, Arc::clone(interest));
        let mut until = None;
        loop {
            let due = async {
                match until {
                    Some(moment) => tokio::time::sleep(beside.clock.until(moment).min(LOOK_AGAIN)).await,
                    None => std::future::pending().await,
                }
            };
            let mut changed = tokio::select! {
                event = events.next() => match event {
                    Some(event) => take(event, &mut index, contact, beside),
                    None => return,
                },
                () = due => true,
            };
            for _ in 0..BATCH {
                let Some(Some(event)) = events.next().now_or_never() else { break };
                changed |= take(event, &mut index, contact, beside);
            }
            if changed && index.is_synced() {
                let now = beside.clock.now();
                let current = index.current(now);
                until = current.until;
                tell_of_shared_addresses(&current.workloads, &current.withheld, &beside.events);
                tell_of_incomplete(current.incomplete, &beside.events);
                feed.publish_beside(current.workloads, &current.withheld, Knowledge::Eventual, now);
            }
        }
    }
}

/// Whether the roster may be another one now.
fn take((watch, told, event): Heard, index: &mut Index, contact: &Contact, beside: &Beside) -> bool {
    beside.events.send(|| event);
    match told {
        Ok(told) => index.apply(told),
        Err(error) => {
            let first = contact.lost(watch, beside.clock.now());
            let error = full(&error);
            if first {
                tracing::warn!(
                    watch = watch.label(),
                    error,
                    "a watch was lost; what is known stands, and the API server is asked again"
                );
            } else {
                tracing::debug!(watch = watch.label(), error, "a watch is still lost");
            }
            false
        }
    }
}

/// An error with its causes: the outermost alone says only that a request failed.
fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

fn heard<K: Send + 'static, V: Send + 'static>(
    watch: Watch,
    events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
    mut read: impl FnMut(K) -> (Name, Option<V>, Option<PodEvent>) + Send + 'static,
) -> impl Stream<Item = (Watch, Result<Change<V>, watcher::Error>, Option<PodEvent>)> + Send + 'static {
    events.backoff(Pace::default()).map(move |event| {
        let (change, pod_event) = match event {
            Err(error) => return (watch, Err(error), None),
            Ok(Event::Init) => (Change::Begin, None),
            Ok(Event::InitDone) => (Change::Whole, None),
            Ok(Event::InitApply(object)) => {
                let (name, value, pod_event) = read(object);
                (Change::Listed(name, value), pod_event)
            }
            Ok(Event::Apply(object)) => {
                let (name, value, pod_event) = read(object);
                (Change::Set(name, value), pod_event)
            }
            Ok(Event::Delete(object)) => (Change::Gone(read(object).0), None),
        };
        (watch, Ok(change), pod_event)
    })
}

/// An object that makes no sense is put aside: it gets nothing, and no other pod is affected.
fn malformed(name: &Name, uid: Option<String>, why: &str) -> PodEvent {
    tracing::warn!(namespace = name.namespace, pod = name.name, why, "a pod's object cannot be read; it gets nothing");
    let pod = PodRef { namespace: name.namespace.clone(), pod: name.name.clone(), uid: uid.unwrap_or_default() };
    PodEvent::new(
        pod,
        Reason::PodMalformed,
        format!("This pod gets no credentials, as its object cannot be read: {why}."),
    )
}

/// Whoever asks from such an address is nobody, so both pods' owners are told. Neither is told of the other. `others` are
/// the addresses of pods that are withheld.
fn tell_of_shared_addresses(workloads: &[Workload], others: &[IpAddr], events: &EventSender) {
    let mut owners = std::collections::HashMap::new();
    for address in workloads.iter().flat_map(|workload| &workload.ips).chain(others) {
        *owners.entry(address).or_insert(0_u32) += 1;
    }
    for workload in workloads {
        let shared = workload.ips.iter().find(|address| owners.get(address).is_some_and(|owners| *owners > 1));
        events.send(|| {
            let note = format!(
                "Another live pod of this node has the address {} too, so neither gets credentials until one is gone.",
                shared?
            );
            Some(PodEvent::new(PodRef::from(workload), Reason::AddressShared, note))
        });
    }
}

fn tell_of_incomplete(pods: Vec<(PodRef, String)>, events: &EventSender) {
    for (about, lacks) in pods {
        events.send(|| {
            let note = format!(
                "This pod gets no credentials, as its {lacks} does not exist: what it may have cannot be told."
            );
            Some(PodEvent::new(about, Reason::PodIncomplete, note))
        });
    }
}

/// Waits until policy reads something else than `interest`.
async fn another_interest(
    mut rules: watch::Receiver<()>,
    current: &(dyn Fn() -> Interest + Send + Sync),
    interest: &Interest,
) {
    while current() == *interest {
        if rules.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}
