//! Joins pods, namespaces and service accounts into workloads.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    object::{Described, Live},
    table::{Change, Name, Table},
};
use crate::{interest::Interest, kubernetes::events::PodRef, workload::Workload};

/// Three watches report a pod, its namespace and its service account, in any order, and lag by less than a second. An
/// object that is missing for longer was deleted while the pod lives, and the pod's owner has to learn of it.
const WATCH_LAG: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Index {
    node: String,
    interest: Arc<Interest>,
    pods: Table<Live>,
    namespaces: Table<Described>,
    accounts: Table<Described>,
}

#[derive(Debug)]
pub(super) enum WatchChange {
    Pod(Change<Live>),
    Namespace(Change<Described>),
    Account(Change<Described>),
}

/// The current workloads, and when they will change without any event.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub workloads: Vec<Workload>,
    /// Addresses of live pods without their namespace or service account: a policy that denies by an annotation there
    /// would allow without it. Such a pod gets nothing, and nobody else gets anything at its address.
    pub withheld: Vec<IpAddr>,
    /// Withheld pods that have lacked something for longer than [`WATCH_LAG`], with what they lack.
    pub incomplete: Vec<(PodRef, String)>,
    pub until: Option<SystemTime>,
}

impl Index {
    /// `interest` is what the watches store of their objects.
    pub(super) fn new(node: &str, interest: Arc<Interest>) -> Self {
        Self { node: node.to_owned(), interest, ..Self::default() }
    }

    /// Returns whether the workloads may have changed.
    pub(super) fn apply(&mut self, change: WatchChange) -> bool {
        match change {
            WatchChange::Pod(change) => {
                let change = self.aged(change);
                self.pods.apply(change)
            }
            WatchChange::Namespace(change) => self.namespaces.apply(change),
            WatchChange::Account(change) => self.accounts.apply(change),
        }
    }

    /// Whether all three lists are complete. Nothing is published before: half of the truth could grant what the whole
    /// denies.
    pub(super) fn is_synced(&self) -> bool {
        self.pods.is_synced() && self.namespaces.is_synced() && self.accounts.is_synced()
    }

    /// Keeps the time at which a pod was first seen when the pod is reported again.
    fn aged(&self, change: Change<Live>) -> Change<Live> {
        let age = |name: &Name, live: Option<Live>| {
            let known = self.pods.get(name).cloned();
            live.map(|live| match known.filter(|known| known.uid == live.uid) {
                Some(known) => Live { first_seen: known.first_seen, ..live },
                None => live,
            })
        };
        match change {
            Change::Listed(name, live) => {
                let live = age(&name, live);
                Change::Listed(name, live)
            }
            Change::Set(name, live) => {
                let live = age(&name, live);
                Change::Set(name, live)
            }
            other => other,
        }
    }

    pub(super) fn current(&self, now: SystemTime) -> Current {
        let mut current = Current::default();
        for (name, pod) in self.pods.iter() {
            if pod.ends.is_some_and(|end| end <= now) {
                continue;
            }
            current.until = [current.until, pod.ends].into_iter().flatten().min();
            let of_namespace = Name { namespace: String::new(), name: name.namespace.clone() };
            let account = Name { namespace: name.namespace.clone(), name: pod.service_account.clone() };
            match (self.namespaces.get(&of_namespace), self.accounts.get(&account)) {
                (Some(namespace), Some(account)) => {
                    current.workloads.push(self.workload(name, pod, namespace, account));
                }
                (None, _) => current.withhold(name, pod, format!("namespace {}", name.namespace), now),
                (_, None) => current.withhold(name, pod, format!("service account {}", account.name), now),
            }
        }
        current
    }

    fn workload(&self, name: &Name, pod: &Live, namespace: &Described, account: &Described) -> Workload {
        Workload {
            namespace: name.namespace.clone(),
            pod: name.name.clone(),
            uid: pod.uid.clone(),
            ips: pod.addresses.clone(),
            service_account: pod.service_account.clone(),
            node: self.node.clone(),
            labels: pod.labels.clone(),
            annotations: pod.annotations.clone(),
            namespace_labels: namespace.labels.clone(),
            namespace_annotations: namespace.annotations.clone(),
            service_account_annotations: account.annotations.clone(),
            images: pod.images.clone(),
            read: Some(Arc::clone(&self.interest)),
            ..Workload::default()
        }
    }
}

impl Current {
    fn withhold(&mut self, name: &Name, pod: &Live, lacks: String, now: SystemTime) {
        self.withheld.extend(&pod.addresses);
        let overdue_at = pod.first_seen + WATCH_LAG;
        if now < overdue_at {
            self.until = Some(self.until.map_or(overdue_at, |until| until.min(overdue_at)));
        } else {
            let (namespace, pod_name) = (name.namespace.clone(), name.name.clone());
            self.incomplete.push((PodRef { namespace, pod: pod_name, uid: pod.uid.as_str().to_owned() }, lacks));
        }
    }
}

#[cfg(test)]
mod churn;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pairs::Pairs, workload::Uid};

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn live(uid: &str, ends: Option<u64>, first_seen: u64) -> Live {
        Live {
            uid: Uid::new(uid),
            service_account: "checkout".into(),
            addresses: vec!["10.0.0.1".parse().unwrap()],
            labels: Pairs::new(),
            annotations: Pairs::new(),
            images: Pairs::new(),
            ends: ends.map(at),
            first_seen: at(first_seen),
        }
    }

    fn at(second: u64) -> SystemTime {
        START + Duration::from_secs(second)
    }

    fn name(namespace: &str, name: &str) -> Name {
        Name { namespace: namespace.into(), name: name.into() }
    }

    fn annotated(key: &str) -> Described {
        Described { labels: Pairs::new(), annotations: [(key.to_owned(), "v".to_owned())].into() }
    }

    /// An index that knows the namespace and the service account.
    fn index() -> Index {
        let mut index = Index::new("node-a", Arc::default());
        index.apply(WatchChange::Namespace(Change::Set(name("", "payments"), Some(annotated("of-namespace")))));
        index.apply(WatchChange::Account(Change::Set(name("payments", "checkout"), Some(annotated("of-account")))));
        index
    }

    fn set(index: &mut Index, live: Live) {
        index.apply(WatchChange::Pod(Change::Set(name("payments", "checkout-0"), Some(live))));
    }

    fn uids(index: &Index, second: u64) -> Vec<String> {
        index.current(at(second)).workloads.iter().map(|workload| workload.uid.as_str().to_owned()).collect()
    }

    #[test]
    fn a_workload_is_its_pod_its_namespace_and_its_service_account() {
        let mut index = index();
        set(&mut index, live("u-1", None, 0));
        let current = index.current(at(0));
        let [workload] = &current.workloads[..] else { panic!("{current:?}") };
        assert_eq!(workload.title(), "payments/checkout-0");
        assert!(workload.namespace_annotations.contains_key("of-namespace"));
        assert!(workload.service_account_annotations.contains_key("of-account"));
        assert_eq!((workload.node.as_str(), current.until), ("node-a", None));
    }

    #[test]
    fn a_pod_without_its_namespace_is_withheld_however_long() {
        let mut index = index();
        index.apply(WatchChange::Namespace(Change::Gone(name("", "payments"))));
        set(&mut index, live("u-1", None, 0));
        assert!(uids(&index, 1_000_000).is_empty());
    }

    #[test]
    fn a_pod_without_its_service_account_is_withheld_and_reported_after_a_while() {
        let mut index = index();
        index.apply(WatchChange::Account(Change::Gone(name("payments", "checkout"))));
        set(&mut index, live("u-1", None, 0));
        let early = index.current(at(1));
        assert_eq!((early.workloads.len(), early.incomplete.len(), early.until), (0, 0, Some(at(2))));
        let late = index.current(at(2));
        assert_eq!((late.workloads.len(), late.withheld.len(), late.until), (0, 1, None));
        assert_eq!(late.incomplete[0].1, "service account checkout");
        index.apply(WatchChange::Account(Change::Set(name("payments", "checkout"), Some(annotated("back")))));
        assert_eq!(uids(&index, 3), ["u-1"]);
    }

    #[test]
    fn a_pod_that_is_reported_again_does_not_begin_to_wait_again() {
        let mut index = index();
        set(&mut index, live("u-1", None, 0));
        index.apply(WatchChange::Account(Change::Gone(name("payments", "checkout"))));
        set(&mut index, live("u-1", None, 100));
        assert_eq!(index.current(at(100)).incomplete.len(), 1);
        set(&mut index, live("u-2", None, 100));
        assert!(index.current(at(100)).incomplete.is_empty(), "another pod of that name is another pod");
    }

    #[test]
    fn a_pod_past_its_grace_is_gone_without_any_event() {
        let mut index = index();
        set(&mut index, live("u-1", Some(30), 0));
        assert_eq!(index.current(at(29)).until, Some(at(30)));
        assert_eq!(uids(&index, 29), ["u-1"]);
        assert!(uids(&index, 30).is_empty());
    }

    #[test]
    fn nothing_is_known_before_all_three_lists_are_complete() {
        let mut index = Index::new("node-a", Arc::default());
        index.apply(WatchChange::Pod(Change::Whole));
        index.apply(WatchChange::Namespace(Change::Whole));
        assert!(!index.is_synced());
        index.apply(WatchChange::Account(Change::Whole));
        assert!(index.is_synced());
    }
}
