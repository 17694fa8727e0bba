//! The workloads that run on this node.
//!
//! The roster is an immutable snapshot. Its one writer (`kube` or `fixed`) publishes the next one to the feed.

mod entry;
pub mod fixed;
pub mod kube;

pub use entry::{Entry, Logged};

use std::{
    collections::{HashMap, hash_map},
    net::IpAddr,
    sync::Arc,
    time::SystemTime,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::watch;

use crate::workload::{Uid, Workload};

#[derive(Debug, Default)]
pub struct Roster {
    by_address: HashMap<IpAddr, Occupant>,
    by_uid: HashMap<Uid, Arc<Entry>>,
    knowledge: Knowledge,
    synced_at: Option<SystemTime>,
}

/// Two live pods may share an address. The roster records that and does not choose: a caller from there gets nothing.
#[derive(Debug)]
enum Occupant {
    One(Arc<Entry>),
    Several,
}

/// What an address that is not in the roster means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Knowledge {
    /// Nothing: the first sync is still to come.
    #[default]
    None,
    /// Its pod may be on its way: an API server is eventually consistent.
    Eventual,
    /// There is no such pod: the list is complete by definition.
    Complete,
}

/// What the roster knows about a caller.
#[derive(Debug)]
pub enum Standing {
    Known(Arc<Entry>),
    Ambiguous,
    Unknown,
    Absent,
}

impl Roster {
    pub fn at(&self, address: IpAddr) -> Standing {
        match self.by_address.get(&address) {
            Some(Occupant::One(entry)) => Standing::Known(Arc::clone(entry)),
            Some(Occupant::Several) => Standing::Ambiguous,
            None => self.standing_if_absent(),
        }
    }

    pub fn of_uid(&self, uid: &Uid) -> Standing {
        self.by_uid.get(uid).map_or_else(|| self.standing_if_absent(), |entry| Standing::Known(Arc::clone(entry)))
    }

    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_uid.values()
    }

    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.entries().map(|entry| &entry.workload)
    }

    pub fn named(&self, namespace: &str, pod: &str) -> Option<&Arc<Entry>> {
        self.entries().find(|entry| entry.workload.namespace == namespace && entry.workload.pod == pod)
    }

    /// When this snapshot was published; None before the first one.
    pub fn synced_at(&self) -> Option<SystemTime> {
        self.synced_at
    }

    fn standing_if_absent(&self) -> Standing {
        match self.knowledge {
            Knowledge::None | Knowledge::Eventual => Standing::Unknown,
            Knowledge::Complete => Standing::Absent,
        }
    }
}

/// Publishes rosters. Readers never wait for the writer, and those who wait for a change are woken by it.
#[derive(Debug)]
pub struct Feed {
    current: ArcSwap<Roster>,
    changes: watch::Sender<()>,
    outdated_since: ArcSwapOption<SystemTime>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { current: ArcSwap::default(), changes: watch::Sender::new(()), outdated_since: ArcSwapOption::default() }
    }
}

impl Feed {
    pub fn current(&self) -> Guard<Arc<Roster>> {
        self.current.load()
    }

    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Sets since when changes may have been missed; None: the published roster is current.
    pub fn outdated(&self, since: Option<SystemTime>) {
        self.outdated_since.store(since.map(Arc::new));
    }

    /// Since when changes may have been missed. The published roster stays in use all the same.
    pub fn outdated_since(&self) -> Option<SystemTime> {
        self.outdated_since.load().as_deref().copied()
    }

    /// Publishes `workloads` as the roster. An unchanged workload keeps its entry and the state in it; a changed one
    /// keeps only the time at which it was first seen. Called by one writer only.
    pub fn publish(&self, workloads: Vec<Workload>, knowledge: Knowledge, now: SystemTime) {
        self.publish_with_withheld(workloads, &[], knowledge, now);
    }

    /// Publishes `workloads`, and takes the addresses of live pods that cannot be described yet: an address that such a
    /// pod shares with a workload is ambiguous.
    pub fn publish_with_withheld(
        &self,
        workloads: Vec<Workload>,
        withheld: &[IpAddr],
        knowledge: Knowledge,
        now: SystemTime,
    ) {
        let before = self.current.load_full();
        let mut next = Roster { knowledge, synced_at: Some(now), ..Roster::default() };
        for mut workload in workloads {
            let entry = match before.by_uid.get(&workload.uid) {
                Some(old) if old.workload.is_same_as(&workload) => Arc::clone(old),
                old => {
                    workload.since = old.map_or(Some(now), |old| old.workload.since);
                    Arc::new(Entry::from(workload))
                }
            };
            next.insert(entry);
        }
        for address in withheld {
            next.by_address.entry(address.to_canonical()).and_modify(|occupant| *occupant = Occupant::Several);
        }
        self.current.store(Arc::new(next));
        self.changes.send_replace(());
    }
}

impl Roster {
    fn insert(&mut self, entry: Arc<Entry>) {
        let uid = &entry.workload.uid;
        for address in &entry.workload.ips {
            match self.by_address.entry(address.to_canonical()) {
                hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(Occupant::One(Arc::clone(&entry)));
                }
                hash_map::Entry::Occupied(mut taken) => match taken.get() {
                    // Listed twice, or once more as an IPv4-mapped IPv6 address.
                    Occupant::One(same) if same.workload.uid == *uid => {}
                    _ => drop(taken.insert(Occupant::Several)),
                },
            }
        }
        self.by_uid.insert(uid.clone(), Arc::clone(&entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ip: &str) -> Workload {
        Workload {
            namespace: "n".into(),
            pod: name.into(),
            uid: Uid::derived("n", name),
            ips: vec![ip.parse().unwrap()],
            ..Workload::default()
        }
    }

    fn at(feed: &Feed, ip: &str) -> Standing {
        feed.current().at(ip.parse().unwrap())
    }

    #[test]
    fn an_address_of_two_pods_is_ambiguous() {
        let feed = Feed::default();
        feed.publish(vec![pod("a", "10.0.0.1"), pod("b", "10.0.0.1")], Knowledge::Eventual, SystemTime::UNIX_EPOCH);
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Ambiguous));
    }

    #[test]
    fn a_pod_that_has_an_address_twice_is_itself() {
        let mut twice = pod("a", "10.0.0.1");
        twice.ips.extend(["10.0.0.1", "::ffff:10.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        let feed = Feed::default();
        feed.publish(vec![twice], Knowledge::Complete, SystemTime::UNIX_EPOCH);
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Known(_)));
    }

    #[test]
    fn an_address_shared_with_a_withheld_pod_is_ambiguous_and_that_pod_s_own_is_unknown() {
        let feed = Feed::default();
        let withheld = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        feed.publish_with_withheld(vec![pod("a", "10.0.0.1")], &withheld, Knowledge::Eventual, SystemTime::UNIX_EPOCH);
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Ambiguous));
        assert!(matches!(at(&feed, "10.0.0.2"), Standing::Unknown));
    }

    #[test]
    fn an_address_that_is_not_listed_is_absent_only_where_the_list_is_complete() {
        let feed = Feed::default();
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Unknown));
        feed.publish(vec![], Knowledge::Eventual, SystemTime::UNIX_EPOCH);
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Unknown));
        feed.publish(vec![], Knowledge::Complete, SystemTime::UNIX_EPOCH);
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Absent));
    }

    #[test]
    fn an_unchanged_pod_keeps_its_value_and_a_changed_one_only_its_age() {
        let feed = Feed::default();
        let start = SystemTime::UNIX_EPOCH;
        let later = start + std::time::Duration::from_secs(9);
        feed.publish(vec![pod("a", "10.0.0.1"), pod("b", "10.0.0.2")], Knowledge::Complete, start);
        let Standing::Known(before) = at(&feed, "10.0.0.1") else { panic!("a is known") };
        let mut changed = pod("b", "10.0.0.2");
        changed.labels = changed.labels.with([("tier", "trusted")]);
        feed.publish(vec![pod("a", "10.0.0.1"), changed], Knowledge::Complete, later);
        let (Standing::Known(a), Standing::Known(b)) = (at(&feed, "10.0.0.1"), at(&feed, "10.0.0.2")) else {
            panic!("both are known")
        };
        assert!(Arc::ptr_eq(&before, &a));
        assert_eq!((b.workload.since, b.workload.labels.len()), (Some(start), 1));
    }

    #[test]
    fn an_address_that_goes_to_another_pod_leaves_nothing_behind() {
        let feed = Feed::default();
        let now = SystemTime::UNIX_EPOCH;
        feed.publish(vec![pod("a", "10.0.0.1")], Knowledge::Complete, now);
        feed.publish(vec![pod("b", "10.0.0.1")], Knowledge::Complete, now);
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Known(b) if b.workload.pod == "b"));
        assert!(matches!(feed.current().of_uid(&Uid::derived("n", "a")), Standing::Absent));
    }

    #[test]
    fn mapped_and_plain_ipv4_are_one_address() {
        let feed = Feed::default();
        feed.publish(vec![pod("a", "::ffff:10.0.0.1")], Knowledge::Complete, SystemTime::UNIX_EPOCH);
        assert!(matches!(at(&feed, "10.0.0.1"), Standing::Known(_)));
    }
}
