//! The pods of this node, as the API server reports them.
//!
//! Three watches (pods of this node, namespaces, service accounts) feed one index. The `kube` crate handles relists,
//! expired watches and bookmarks. While the API server is away, the last published roster stays in use.

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

/// A pod's object has up to 1.5 MiB (etcd's limit), and a page of them is in memory several times over while it is
/// parsed. A node's 110 pods are three pages.
const PODS_A_PAGE: u32 = 50;
/// The longest wait for the end of a pod's grace period. The API server states it by the wall clock, which may be set
/// meanwhile.
const GRACE_WAIT_MAX: Duration = Duration::from_secs(10);
/// The pause before the clients are made again, after the files that they are made from were missing.
const CLIENT_RETRY: Duration = Duration::from_secs(10);
/// How long a watch lasts, in seconds, before the API server ends it and it is resumed. A connection that died silently
/// is detected 5 s later. A thousand nodes resume 50 watches a second.
const WATCH_LASTS: u32 = 60;
/// The most events that are applied before the result is published.
const BATCH: usize = 1024;

/// The watches of one node, not started yet.
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

/// What the watches need besides the API server.
pub struct Context {
    pub clock: Clock,
    pub events: EventSender,
    /// What policy reads of objects; called again whenever `rules` changes.
    pub interest: Box<dyn Fn() -> Interest + Send + Sync>,
    pub rules: watch::Receiver<()>,
}

struct Clients {
    pods: Client,
    namespaces: Client,
    accounts: Client,
}

/// One event of one watch.
type WatchEvent = (Watch, Result<WatchChange, watcher::Error>, Option<PodEvent>);
type Events = stream::BoxStream<'static, WatchEvent>;

impl Watched {
    pub fn new(cluster: Cluster, node: &str) -> Result<Self, OpenError> {
        if node.is_empty() {
            return Err(OpenError::NoNode);
        }
        // A failure to make a client is reported at start.
        cluster.client()?;
        Ok(Self { cluster, node: node.to_owned() })
    }

    /// Publishes each change until `stop`.
    pub async fn run(self, feed: Arc<Feed>, mut context: Context, stop: CancellationToken) {
        let contact = Contact::new(Arc::clone(&feed));
        tokio::select! {
            () = stop.cancelled() => {}
            () = async {
                let clients = self.clients(&contact, &context.clock).await;
                loop {
                    context.rules.borrow_and_update();
                    let interest = Arc::new((context.interest)());
                    let events = self.events(&clients, &interest, &context.clock);
                    let following = self.follow(events, &interest, &feed, &contact, &context);
                    let outdated = interest_change(context.rules.clone(), &context.interest, &interest);
                    tokio::select! {
                        () = following => {}
                        () = outdated => {
                            tracing::info!("policy reads other labels, annotations or images now; listing anew");
                        }
                    }
                }
            } => {}
        }
    }

    /// One client for each watch, which reports to `contact` when the API server answers. `new` has shown that a
    /// client can be made, but the files that it is made from may have gone missing for a while since.
    async fn clients(&self, contact: &Contact, clock: &Clock) -> Clients {
        let client = |watch: Watch| {
            let contact = contact.clone();
            self.cluster.client_with_callback(move || {
                if contact.answered(watch) {
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
            tokio::time::sleep(CLIENT_RETRY).await;
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
        let pods = changes(Watch::Pods, watcher(pods, ours), move |pod: DeserializeGuard<Pod>| {
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
        let namespaces = changes(Watch::Namespaces, watcher(namespaces, all.clone()), move |object| {
            (name_of(&object.metadata), Some(Described::namespace(object.metadata, &for_namespaces)), None)
        });
        let accounts = changes(Watch::Accounts, watcher(accounts, all), move |object| {
            (name_of(&object.metadata), Some(Described::service_account(object.metadata, &for_accounts)), None)
        });
        let pods = pods.map(|(watch, change, pod_event)| (watch, change.map(WatchChange::Pod), pod_event));
        let namespaces =
            namespaces.map(|(watch, change, pod_event)| (watch, change.map(WatchChange::Namespace), pod_event));
        let accounts = accounts.map(|(watch, change, pod_event)| (watch, change.map(WatchChange::Account), pod_event));
        stream::select_all([pods.boxed(), namespaces.boxed(), accounts.boxed()]).boxed()
    }

    /// Returns only if the watches end, which they never do.
    async fn follow(
        &self,
        mut events: Events,
        interest: &Arc<Interest>,
        feed: &Feed,
        contact: &Contact,
        context: &Context,
    ) {
        let mut index = Index::new(&self.node, Arc::clone(interest));
        let mut until = None;
        loop {
            let due = async {
                match until {
                    Some(moment) => tokio::time::sleep(context.clock.until(moment).min(GRACE_WAIT_MAX)).await,
                    None => std::future::pending().await,
                }
            };
            let mut changed = tokio::select! {
                event = events.next() => match event {
                    Some(event) => take(event, &mut index, contact, context),
                    None => return,
                },
                () = due => true,
            };
            for _ in 0..BATCH {
                let Some(Some(event)) = events.next().now_or_never() else { break };
                changed |= take(event, &mut index, contact, context);
            }
            if changed && index.is_synced() {
                let now = context.clock.now();
                let current = index.current(now);
                until = current.until;
                report_shared_addresses(&current.workloads, &current.withheld, &context.events);
                report_incomplete(current.incomplete, &context.events);
                feed.publish_with_withheld(current.workloads, &current.withheld, Knowledge::Eventual, now);
            }
        }
    }
}

/// Applies an event. Returns whether the roster may have changed.
fn take((watch, change, event): WatchEvent, index: &mut Index, contact: &Contact, context: &Context) -> bool {
    context.events.send(|| event);
    match change {
        Ok(change) => index.apply(change),
        Err(error) => {
            let first = contact.lost(watch, context.clock.now());
            let error = with_causes(&error);
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
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = inner.source();
    }
    text
}

fn changes<K: Send + 'static, V: Send + 'static>(
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

/// A pod whose object cannot be read gets nothing, and no other pod is affected.
fn malformed(name: &Name, uid: Option<String>, why: &str) -> PodEvent {
    tracing::warn!(namespace = name.namespace, pod = name.name, why, "a pod's object cannot be read; it gets nothing");
    let pod = PodRef { namespace: name.namespace.clone(), pod: name.name.clone(), uid: uid.unwrap_or_default() };
    PodEvent::new(
        pod,
        Reason::PodMalformed,
        format!("This pod gets no credentials, as its object cannot be read: {why}."),
    )
}

/// A shared address identifies nobody, so both pods' owners get an Event. Neither Event names the other pod. `withheld`
/// are the addresses of pods that are withheld.
fn report_shared_addresses(workloads: &[Workload], withheld: &[IpAddr], events: &EventSender) {
    let mut owners = std::collections::HashMap::new();
    for address in workloads.iter().flat_map(|workload| &workload.ips).chain(withheld) {
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

fn report_incomplete(pods: Vec<(PodRef, String)>, events: &EventSender) {
    for (about, lacks) in pods {
        events.send(|| {
            let note = format!(
                "This pod gets no credentials, as its {lacks} does not exist: policy cannot decide without it."
            );
            Some(PodEvent::new(about, Reason::PodIncomplete, note))
        });
    }
}

/// Waits until policy reads something other than `interest`.
async fn interest_change(
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
