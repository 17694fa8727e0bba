//! Nodes by the thousand under a virtual clock: each has the gateway's own keeper, and all of them ask one STS.

pub mod churn;
mod node;
pub mod sts;
pub mod tally;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use metagate::{clock::Clock, credential::KeeperSettings, policy::Grant};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use self::{
    churn::{Churn, Pod},
    node::Node,
    sts::{Account, Quota},
    tally::Tally,
};
use metagate_load::report::progress;

use crate::node::config;

/// When the keeper learns of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetching {
    /// As soon as the roster shows it, with its address: the gateway's `prefetch`.
    WhenSeen,
    /// As soon as the API server binds it to the node, before it has an address: what a prefetch could be.
    WhenBound,
    /// With the pod's first request, and from then on as usual: the gateway without `prefetch`.
    OnDemand,
}

pub struct Fleet {
    pub nodes: u32,
    pub churn: Churn,
    pub fetching: Fetching,
    pub quota: Quota,
}

/// What a run showed.
pub struct Outcome {
    pub account: Arc<Account>,
    pub tally: Arc<Tally>,
    pub pods: usize,
    /// The real time that the simulation took.
    pub took: Duration,
}

impl Fleet {
    /// The pods of each node. The same for every way of fetching, so that only that differs.
    pub fn pods(&self) -> Vec<Vec<Pod>> {
        (0..self.nodes).map(|node| self.churn.pods(node, self.nodes)).collect()
    }

    /// Blocks until the last virtual hour is over. Needs at least as many `grants` as any node has pods.
    pub fn run(&self, grants: &[Arc<Grant>]) -> Result<Outcome> {
        let began = std::time::Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let (account, tally, pods) = runtime.block_on(self.play(grants))?;
        Ok(Outcome { account, tally, pods, took: began.elapsed() })
    }

    async fn play(&self, grants: &[Arc<Grant>]) -> Result<(Arc<Account>, Arc<Tally>, usize)> {
        let clock = Clock::following_tokio(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let account = Arc::new(Account::new(self.quota, clock.clone()));
        let tally = Arc::new(Tally::new(self.churn.measured_from()));
        let settings = KeeperSettings::from(&config()?.credentials);
        let began = Instant::now();
        let mut playing = JoinSet::new();
        let mut pods = 0;
        for of_node in self.pods() {
            pods += of_node.len();
            let node = Node::start(&account, &settings, &clock, &tally, self.fetching);
            let grants = grants.get(..of_node.len()).context("there are fewer grants than pods of a node")?;
            playing.spawn(node.play(of_node, grants.to_vec(), began));
        }
        let end = began + self.churn.end();
        let mut hour = 0;
        while began + Duration::from_secs(3600 * hour) < end {
            sleep_until(began + Duration::from_secs(3600 * hour)).await;
            progress(format_args!("{} nodes, {:?}: hour {hour}", self.nodes, self.fetching));
            hour += 1;
        }
        sleep_until(end).await;
        playing.shutdown().await;
        Ok((account, tally, pods))
    }
}
