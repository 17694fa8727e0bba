//! Watch events in any order, compared with a slow, obvious model of who owns an address and what is known of the
//! owner.

use std::{collections::BTreeMap, net::Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::{
    pairs::Pairs,
    roster::{Feed, Knowledge, Standing},
    workload::Uid,
};

const SLOTS: u8 = 6;
const ADDRESSES: u8 = 3;
const NAMESPACES: u8 = 2;
const ACCOUNTS: u8 = 2;

/// What happens in the cluster, whether the watches see it or not.
#[derive(Clone, Debug)]
enum Step {
    /// `live` is false if the pod has ended, or shares the node's address.
    Pod {
        slot: u8,
        address: u8,
        second: Option<u8>,
        account: u8,
        role: u8,
        live: bool,
    },
    /// The pod is being deleted, and is gone after this many seconds, with or without an event.
    Ending {
        slot: u8,
        grace: u8,
    },
    NoPod {
        slot: u8,
    },
    Namespace {
        namespace: u8,
        word: Option<u8>,
    },
    Account {
        namespace: u8,
        account: u8,
        word: Option<u8>,
    },
    /// The watches see nothing until they relist.
    Disconnect,
    /// All three watches relist, and again if the first list is cut off; then they see events again.
    Relist {
        cut_off: bool,
    },
    Pass(u8),
}

fn a_step() -> impl Strategy<Value = Step> {
    let word = || proptest::option::weighted(0.8, 0..3u8);
    prop_oneof![
        8 => (0..SLOTS, 0..ADDRESSES, proptest::option::weighted(0.2, 0..ADDRESSES), 0..ACCOUNTS, 0..3u8,
              proptest::bool::weighted(0.9))
            .prop_map(|(slot, address, second, account, role, live)|
                Step::Pod { slot, address, second, account, role, live }),
        2 => (0..SLOTS, 0..6u8).prop_map(|(slot, grace)| Step::Ending { slot, grace }),
        4 => (0..SLOTS).prop_map(|slot| Step::NoPod { slot }),
        2 => (0..NAMESPACES, word()).prop_map(|(namespace, word)| Step::Namespace { namespace, word }),
        2 => (0..NAMESPACES, 0..ACCOUNTS, word())
            .prop_map(|(namespace, account, word)| Step::Account { namespace, account, word }),
        1 => Just(Step::Disconnect),
        2 => any::<bool>().prop_map(|cut_off| Step::Relist { cut_off }),
        3 => (1..5u8).prop_map(Step::Pass),
    ]
}

/// The API server's objects. An object that is not a live pod is None.
#[derive(Clone, Default)]
struct Objects {
    pods: BTreeMap<u8, Option<Live>>,
    namespaces: BTreeMap<u8, u8>,
    accounts: BTreeMap<(u8, u8), u8>,
}

#[derive(Default)]
struct Walk {
    index: Index,
    feed: Feed,
    now: u64,
    disconnected: bool,
    uids: u32,
    truth: Objects,
    /// The truth as the watches last saw it.
    seen: Objects,
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

fn namespace_of(slot: u8) -> u8 {
    slot % NAMESPACES
}

fn pod_name(slot: u8) -> Name {
    Name { namespace: namespace_of(slot).to_string(), name: format!("pod-{slot}") }
}

fn namespace_name(namespace: u8) -> Name {
    Name { namespace: String::new(), name: namespace.to_string() }
}

fn account_name((namespace, account): (u8, u8)) -> Name {
    Name { namespace: namespace.to_string(), name: account.to_string() }
}

fn described(word: u8) -> Described {
    Described { labels: Pairs::new(), annotations: [("word".to_owned(), word.to_string())].into() }
}

impl Walk {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Pod { slot, address: first, second, account, role, live } => {
                let known = self.truth.pods.get(&slot).cloned().flatten();
                let (uid, ends) = match known {
                    Some(known) => (known.uid, known.ends),
                    None => {
                        self.uids += 1;
                        (Uid::new(self.uids.to_string()), None)
                    }
                };
                let mut addresses = vec![address(first)];
                addresses.extend(second.filter(|second| *second != first).map(address));
                let pod = Live {
                    uid,
                    service_account: account.to_string(),
                    addresses,
                    labels: Pairs::new(),
                    annotations: [("role".to_owned(), role.to_string())].into(),
                    images: Pairs::new(),
                    ends,
                    first_seen: at(self.now),
                };
                self.set_pod(slot, live.then_some(pod));
            }
            Step::Ending { slot, grace } => {
                let Some(Some(mut pod)) = self.truth.pods.get(&slot).cloned() else { return };
                pod.ends = Some(at(self.now + u64::from(grace)));
                pod.first_seen = at(self.now);
                self.set_pod(slot, Some(pod));
            }
            Step::NoPod { slot } => {
                self.truth.pods.remove(&slot);
                self.deliver(WatchChange::Pod(Change::Gone(pod_name(slot))));
            }
            Step::Namespace { namespace, word } => {
                put(&mut self.truth.namespaces, namespace, word);
                let name = namespace_name(namespace);
                self.deliver(WatchChange::Namespace(set_or_gone(name, word)));
            }
            Step::Account { namespace, account, word } => {
                put(&mut self.truth.accounts, (namespace, account), word);
                self.deliver(WatchChange::Account(set_or_gone(account_name((namespace, account)), word)));
            }
            Step::Disconnect => self.disconnected = true,
            Step::Relist { cut_off } => {
                self.disconnected = false;
                if cut_off {
                    self.list(1, false);
                }
                self.list(usize::MAX, true);
            }
            Step::Pass(seconds) => self.now += u64::from(seconds),
        }
    }

    fn set_pod(&mut self, slot: u8, pod: Option<Live>) {
        self.truth.pods.insert(slot, pod.clone());
        self.deliver(WatchChange::Pod(Change::Set(pod_name(slot), pod)));
    }

    fn deliver(&mut self, change: WatchChange) {
        if !self.disconnected {
            self.index.apply(change);
            self.see();
        }
    }

    fn list(&mut self, at_most: usize, whole: bool) {
        let truth = self.truth.clone();
        let pods = truth.pods.iter().map(|(slot, pod)| {
            let pod = pod.clone().map(|pod| Live { first_seen: at(self.now), ..pod });
            Change::Listed(pod_name(*slot), pod)
        });
        let namespaces =
            truth.namespaces.iter().map(|(name, word)| Change::Listed(namespace_name(*name), Some(described(*word))));
        let accounts =
            truth.accounts.iter().map(|(name, word)| Change::Listed(account_name(*name), Some(described(*word))));
        for change in framed(pods.take(at_most), whole) {
            self.index.apply(WatchChange::Pod(change));
        }
        for change in framed(namespaces.take(at_most), whole) {
            self.index.apply(WatchChange::Namespace(change));
        }
        for change in framed(accounts.take(at_most), whole) {
            self.index.apply(WatchChange::Account(change));
        }
        if whole {
            self.see();
        }
    }

    fn see(&mut self) {
        self.seen = self.truth.clone();
    }

    /// The owner of an address, and what plugins see of it. None unless exactly one live pod has the address.
    fn owner(&self, wanted: IpAddr) -> Option<(String, [Option<u8>; 3])> {
        let mut owners = Vec::new();
        for (slot, pod) in &self.seen.pods {
            let Some(pod) = pod else { continue };
            if pod.addresses.contains(&wanted) && pod.ends.is_none_or(|end| end > at(self.now)) {
                owners.push((*slot, pod));
            }
        }
        let [(slot, pod)] = owners[..] else { return None };
        let namespace = namespace_of(slot);
        let of_namespace = *self.seen.namespaces.get(&namespace)?;
        let of_account = *self.seen.accounts.get(&(namespace, pod.service_account.parse().unwrap()))?;
        let role = pod.annotations.get("role").unwrap().parse().unwrap();
        Some((pod.uid.as_str().to_owned(), [Some(role), Some(of_namespace), Some(of_account)]))
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let current = self.index.current(at(self.now));
        self.feed.publish_with_withheld(current.workloads, &current.withheld, Knowledge::Eventual, at(self.now));
        for number in 0..ADDRESSES {
            let found = match self.feed.current().at(address(number)) {
                Standing::Known(entry) => {
                    let workload = &entry.workload;
                    let word = |pairs: &Pairs, key| pairs.get(key).map(|word| word.parse().unwrap());
                    let words = [
                        word(&workload.annotations, "role"),
                        word(&workload.namespace_annotations, "word"),
                        word(&workload.service_account_annotations, "word"),
                    ];
                    Some((workload.uid.as_str().to_owned(), words))
                }
                Standing::Ambiguous | Standing::Unknown | Standing::Absent => None,
            };
            prop_assert_eq!(found, self.owner(address(number)), "address {} at second {}", number, self.now);
        }
        // Without further events, the next change comes at the announced time.
        let later = current.until.unwrap_or(at(self.now + 100));
        prop_assert!(later > at(self.now), "the announced time has passed");
        Ok(())
    }
}

fn put<K: Ord>(map: &mut BTreeMap<K, u8>, key: K, word: Option<u8>) {
    match word {
        Some(word) => map.insert(key, word),
        None => map.remove(&key),
    };
}

fn set_or_gone(name: Name, word: Option<u8>) -> Change<Described> {
    match word {
        Some(word) => Change::Set(name, Some(described(word))),
        None => Change::Gone(name),
    }
}

fn framed<V>(listed: impl Iterator<Item = Change<V>>, whole: bool) -> Vec<Change<V>> {
    let end = whole.then_some(Change::Whole);
    std::iter::once(Change::Begin).chain(listed).chain(end).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn an_address_identifies_its_one_live_pod_or_nobody_whatever_the_watches_see_and_miss(
        steps in proptest::collection::vec(a_step(), 1..60)
    ) {
        let mut walk = Walk { index: Index::new("node-a", Arc::default()), ..Walk::default() };
        walk.take(&Step::Relist { cut_off: false });
        for step in &steps {
            let between = walk.index.current(at(walk.now)).until;
            walk.take(step);
            // The snapshot may only change by itself at the time that was announced.
            if let (Step::Pass(_), Some(announced)) = (step, between) && announced > at(walk.now) {
                let same: Vec<_> = (0..ADDRESSES).map(|number| walk.owner(address(number)).is_some()).collect();
                let published: Vec<_> = (0..ADDRESSES)
                    .map(|number| matches!(walk.feed.current().at(address(number)), Standing::Known(_)))
                    .collect();
                prop_assert_eq!(same, published, "the roster changed before {:?}", announced);
            }
            walk.check()?;
        }
    }
}
