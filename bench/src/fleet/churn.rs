//! Which pods a node has, and when. Every figure here is an assumption, with its reason.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A node has 30 pods with a role: 8 of DaemonSets (network, storage, logs, metrics, and their like), 20 of services
/// and 2 places for CronJobs. Amazon's maximum is 110 to 250 pods per node, by its size; most nodes run fewer, and not
/// every pod has a role.
const DAEMONS: u32 = 8;
const SERVICES: u32 = 20;
const CRON_JOBS: u32 = 2;
pub const PODS_A_NODE: u32 = DAEMONS + SERVICES + CRON_JOBS;

/// The fleet's service pods belong to this many Deployments, whatever its size: a rollout replaces one pod in twenty,
/// which is a large share for a large fleet.
const DEPLOYMENTS: u32 = 20;
/// Each Deployment is rolled out three times a day, one after the other: one every 24 minutes.
const ROLLOUT_EVERY: Duration = Duration::from_secs(8 * 3600);
/// How long one rollout takes. Kubernetes replaces a quarter at a time by default (Deployment, maxSurge,
/// maxUnavailable), each quarter for as long as its pods take to become ready, about a minute.
const ROLLOUT_TAKES: f64 = 300.0;
/// A replaced pod runs on until the new one is ready and its own grace period is over (30 s by default).
const OVERLAP: f64 = 40.0;

/// Every quarter of an hour, on the minute, as people write schedules.
const CRON_EVERY: Duration = Duration::from_secs(900);
/// How long a job runs.
const JOB_TAKES: (f64, f64) = (30.0, 150.0);
/// The jobs of one minute do not start in one second: a scheduler binds about 100 pods a second (the throughput that
/// Kubernetes' own scalability tests ask of it), in clusters of 5,000 nodes at most (Kubernetes, "Considerations for
/// large clusters"), and a node's kubelet starts them within some seconds.
const BOUND_A_SECOND: f64 = 100.0;
const CLUSTER: u32 = 5000;
const KUBELET_TAKES: f64 = 10.0;

/// From the binding to the containers' start: network and volumes are made, images looked at or pulled. Kubernetes
/// promises to start 99% of pods within five seconds where images are there (pod startup latency SLO).
const BOUND_BEFORE: (f64, f64) = (1.0, 3.0);
/// From the containers' start to the pod's address in the roster: the kubelet looks at its containers once a second
/// (PLEG relist), then writes the status, and the watch brings it.
const SEEN_AFTER: (f64, f64) = (0.1, 1.1);
/// From the containers' start to the first request for credentials. Two fifths are Go and Rust programs, which ask
/// within half a second; two fifths Python and Node.js, which load their SDK for one or two seconds; one fifth Java,
/// which starts for several.
const STARTS_UP: [(f64, (f64, f64)); 3] = [(0.4, (0.05, 0.5)), (0.8, (0.5, 2.0)), (1.0, (3.0, 15.0))];

/// Nodes are not new when the measurement begins: they start within half an hour, half of a session, and by then each
/// credential has been renewed at least once (at 33 minutes at the latest).
const STARTED_WITHIN: f64 = 1800.0;
const WARM: Duration = Duration::from_secs(3900);
/// A node that boots starts its pods within half a minute.
const BOOT_TAKES: f64 = 30.0;

/// One pod. Times count from the beginning of the simulation.
#[derive(Clone, Copy, Debug)]
pub struct Pod {
    pub bound: Duration,
    /// The roster shows it.
    pub seen: Duration,
    /// It asks for its credentials, whether the roster knows it or not.
    pub asks: Duration,
    pub gone: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Churn {
    /// Working days: rollouts and jobs, for this long after the nodes have started one by one.
    Steady(Duration),
    /// Every node boots in the same second, and nothing else happens for this long.
    Boot(Duration),
}

impl Churn {
    /// What happens before that is not counted.
    pub fn measured_from(self) -> Duration {
        match self {
            Self::Steady(_) => WARM,
            Self::Boot(_) => Duration::ZERO,
        }
    }

    pub fn end(self) -> Duration {
        match self {
            Self::Steady(time) => WARM + time,
            Self::Boot(time) => time,
        }
    }

    /// The same pods each time for the same node of the same fleet.
    pub fn pods(self, node: u32, of: u32) -> Vec<Pod> {
        let mut chance = StdRng::seed_from_u64(u64::from(node));
        let end = self.end().as_secs_f64();
        match self {
            Self::Boot(_) => (0..PODS_A_NODE)
                .map(|_| {
                    let start = chance.random_range(0.0..BOOT_TAKES);
                    pod(start, end, &mut chance)
                })
                .collect(),
            Self::Steady(_) => {
                let boot = chance.random_range(0.0..STARTED_WITHIN);
                let mut pods: Vec<Pod> = (0..DAEMONS).map(|_| pod(boot, end, &mut chance)).collect();
                for _ in 0..SERVICES {
                    service(boot, end, &mut chance, &mut pods);
                }
                for _ in 0..CRON_JOBS {
                    jobs(of, end, &mut chance, &mut pods);
                }
                pods
            }
        }
    }
}

/// One replica's place and its pods, one after the other.
fn service(boot: f64, end: f64, chance: &mut StdRng, pods: &mut Vec<Pod>) {
    let (every, deployment) = (ROLLOUT_EVERY.as_secs_f64(), f64::from(chance.random_range(0..DEPLOYMENTS)));
    let mut rollout = every * deployment / f64::from(DEPLOYMENTS);
    let mut start = boot;
    while start < end {
        while rollout <= start {
            rollout += every;
        }
        let replaced = rollout + chance.random_range(0.0..ROLLOUT_TAKES);
        pods.push(pod(start, (replaced + OVERLAP).min(end), chance));
        (start, rollout) = (replaced, rollout + every);
    }
}

fn jobs(nodes: u32, end: f64, chance: &mut StdRng, pods: &mut Vec<Pod>) {
    let schedulers = f64::from(nodes.div_ceil(CLUSTER));
    let spread = f64::from(nodes * CRON_JOBS) / (BOUND_A_SECOND * schedulers);
    let mut minute = STARTED_WITHIN;
    while minute < end {
        let start = minute + chance.random_range(0.0..spread.max(1.0)) + chance.random_range(0.0..KUBELET_TAKES);
        let takes = chance.random_range(JOB_TAKES.0..JOB_TAKES.1);
        if start < end {
            pods.push(pod(start, (start + takes).min(end), chance));
        }
        minute += CRON_EVERY.as_secs_f64();
    }
}

fn pod(start: f64, gone: f64, chance: &mut StdRng) -> Pod {
    let kind = chance.random_range(0.0..1.0);
    let starts_up = STARTS_UP.iter().find(|(share, _)| kind < *share).map_or((0.0, 1.0), |(_, range)| *range);
    let seen = start + chance.random_range(SEEN_AFTER.0..SEEN_AFTER.1);
    let asks = start + chance.random_range(starts_up.0..starts_up.1);
    let bound = start - chance.random_range(BOUND_BEFORE.0..BOUND_BEFORE.1);
    let [bound, seen, asks, gone] = [bound.max(0.0), seen, asks, gone].map(Duration::from_secs_f64);
    Pod { bound, seen, asks, gone }
}
