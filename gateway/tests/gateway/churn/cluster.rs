//! A cluster that changes all the time, and a slow, obvious record of who had which address when.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use metagate::{
    pairs::Pairs,
    roster::{Feed, Knowledge},
    workload::{Uid, Workload},
};
use rand::{RngExt, rngs::StdRng};

/// Few addresses for many pods: each soon belongs to another pod.
pub(crate) const ADDRESSES: usize = 12;
/// Few roles: if a pod got another's credentials, mostly only the session name would show it.
pub(crate) const ROLES: [&str; 4] = ["app-a", "app-b", "app-c", "app-d"];
const PODS: usize = 16;
const NAMESPACES: usize = 3;

pub(crate) fn address(number: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(number).unwrap()).into()
}

/// The only writer.
pub(crate) struct Cluster {
    random: StdRng,
    feed: Arc<Feed>,
    epochs: Arc<Epochs>,
    uids: u64,
    pods: BTreeMap<usize, Pod>,
    /// By namespace: the only role that it permits; None permits all.
    permitted: [Option<&'static str>; NAMESPACES],
    /// By namespace: its service account's role, for pods without a role of their own.
    account_roles: [&'static str; NAMESPACES],
}

#[derive(Clone)]
struct Pod {
    uid: String,
    address: usize,
    /// None: the role of its service account.
    role: Option<&'static str>,
}

/// Which role a pod asks for, and whose credentials it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    role: &'static str,
    /// None: the pod is denied.
    holder: Option<String>,
}

/// Everything that was ever true, by epoch: an epoch lasts from one change to the next.
pub(crate) struct Epochs {
    all: Vec<OnceLock<[Option<Owner>; ADDRESSES]>>,
    /// Readers may see this epoch from now on.
    begun: AtomicU64,
    /// Readers no longer see anything older than this epoch.
    published: AtomicU64,
}

impl Cluster {
    pub(crate) fn new(random: StdRng, feed: Arc<Feed>, epochs: Arc<Epochs>) -> Self {
        let mut cluster = Self {
            random,
            feed,
            epochs,
            uids: 0,
            pods: BTreeMap::new(),
            permitted: [None; NAMESPACES],
            account_roles: [ROLES[0]; NAMESPACES],
        };
        (0..PODS).for_each(|slot| cluster.start(slot));
        cluster
    }

    /// Makes one change, and publishes it.
    pub(crate) fn change(&mut self) {
        let slot = self.random.random_range(0..PODS);
        let namespace = slot % NAMESPACES;
        match self.random.random_range(0..20) {
            0..8 => self.start(slot),
            8..10 => drop(self.pods.remove(&slot)),
            10..14 => {
                let role = self.a_role();
                self.pods.entry(slot).and_modify(|pod| pod.role = role);
            }
            14..16 => {
                let address = self.random.random_range(0..ADDRESSES);
                self.pods.entry(slot).and_modify(|pod| pod.address = address);
            }
            16..18 => self.permitted[namespace] = self.a_role().filter(|_| self.random.random_bool(0.3)),
            _ => self.account_roles[namespace] = ROLES[self.random.random_range(0..ROLES.len())],
        }
        let epoch = self.epochs.begin(self.owners());
        self.feed.publish(self.workloads(), Knowledge::Eventual, SystemTime::now());
        self.epochs.published.store(epoch, Ordering::SeqCst);
    }

    /// A new pod in this slot, on an address that may still be another pod's.
    fn start(&mut self, slot: usize) {
        self.uids += 1;
        let free: Vec<_> = (0..ADDRESSES).filter(|one| !self.pods.values().any(|pod| pod.address == *one)).collect();
        let address = match &free[..] {
            [] => self.random.random_range(0..ADDRESSES),
            free => free[self.random.random_range(0..free.len())],
        };
        let pod = Pod { uid: format!("u{}", self.uids), address, role: self.a_role() };
        self.pods.insert(slot, pod);
    }

    fn a_role(&mut self) -> Option<&'static str> {
        let role = ROLES[self.random.random_range(0..ROLES.len())];
        self.random.random_bool(0.8).then_some(role)
    }

    /// The model: looks at every pod for every address.
    fn owners(&self) -> [Option<Owner>; ADDRESSES] {
        std::array::from_fn(|number| {
            let here: Vec<_> = self.pods.iter().filter(|(_, pod)| pod.address == number).collect();
            let [(slot, pod)] = here[..] else { return None };
            let namespace = slot % NAMESPACES;
            let role = pod.role.unwrap_or(self.account_roles[namespace]);
            // The plugin that names the service account's role also allows it.
            let permitted = pod.role.is_none() || self.permitted[namespace].is_none_or(|only| only == role);
            let holder = permitted.then(|| format!("{role}|pod-{slot}.{}", pod.uid));
            Some(Owner { role, holder })
        })
    }

    fn workloads(&self) -> Vec<Workload> {
        self.pods.iter().map(|(slot, pod)| self.workload(*slot, pod)).collect()
    }

    fn workload(&self, slot: usize, pod: &Pod) -> Workload {
        let namespace = slot % NAMESPACES;
        let pair = |key: &str, value: String| Pairs::from([(key.to_owned(), value)]);
        let permitted = self.permitted[namespace].unwrap_or(".*");
        let account_role = self.account_roles[namespace];
        Workload {
            namespace: format!("n{namespace}"),
            pod: format!("pod-{slot}"),
            uid: Uid::new(&*pod.uid),
            ips: vec![address(pod.address)],
            service_account: "default".into(),
            annotations: pod.role.map(|role| pair("iam.amazonaws.com/role", role.to_owned())).unwrap_or_default(),
            namespace_annotations: pair("iam.amazonaws.com/permitted", format!(".*:role/{permitted}")),
            service_account_annotations: pair(
                "eks.amazonaws.com/role-arn",
                format!("arn:aws:iam::123456789012:role/{account_role}"),
            ),
            ..Workload::default()
        }
    }
}

impl Epochs {
    pub(crate) fn new(at_most: u64) -> Self {
        let all = (0..=at_most).map(|_| OnceLock::new()).collect();
        Self { all, begun: AtomicU64::new(0), published: AtomicU64::new(0) }
    }

    fn begin(&self, owners: [Option<Owner>; ADDRESSES]) -> u64 {
        let epoch = self.begun.load(Ordering::SeqCst) + 1;
        self.all[usize::try_from(epoch).unwrap()].set(owners).unwrap();
        self.begun.store(epoch, Ordering::SeqCst);
        epoch
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::SeqCst)
    }

    pub(crate) fn last(&self) -> u64 {
        self.published()
    }

    /// The role that the address's pod asked for in that epoch.
    pub(crate) fn role_at(&self, epoch: u64, number: usize) -> Option<&'static str> {
        self.owner(epoch, number).map(|owner| owner.role)
    }

    /// Whose credentials the address could get in that epoch.
    pub(crate) fn holder_at(&self, epoch: u64, number: usize) -> Option<String> {
        self.owner(epoch, number)?.holder.clone()
    }

    fn owner(&self, epoch: u64, number: usize) -> Option<&Owner> {
        self.all.get(usize::try_from(epoch).unwrap())?.get()?[number].as_ref()
    }
}
