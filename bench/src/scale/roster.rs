//! What a roster of this many workloads costs: to start, to look up, to change, to hold.

use std::{
    fmt::Write,
    fs,
    hint::black_box,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use metagate::{
    caller::{Origin, identify},
    roster::{Feed, Knowledge, fixed},
    workload::Workload,
};
use metagate_load::report::progress;
use serde::{Deserialize, Serialize};

use crate::{crowd, node::undecided};

/// Changes of pods in a burst: what a large rollout brings in some seconds.
pub const BURST: u32 = 1000;
/// Callers that ask in turn. They are spread over the whole roster, so that a large roster does not fit the processor's
/// cache.
const CALLERS: u32 = 1000;
const ROUNDS: usize = 15;
const ROUND: u32 = 200_000;
/// Single publications of the burst are measured for this long, but at least five; a burst's time is its size times
/// their median.
const PATIENCE: Duration = Duration::from_secs(8);
const FEWEST: u32 = 5;
const WARM_UP: u32 = 10;
/// The page size of x86-64 and 64-bit Arm on Kubernetes nodes.
const PAGE: u64 = 4096;

/// All costs of one size, measured in one process and sent to another as JSON.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Costs {
    pub workloads: u32,
    /// From a fixed roster's text to workloads.
    pub parse_s: f64,
    /// From workloads to the first snapshot.
    pub first_snapshot_s: f64,
    pub lookup_ns: f64,
    /// What the snapshot holds resident.
    pub resident_kib: f64,
    /// The most that the process ever had resident.
    pub peak_kib: f64,
    /// One pod changed: the writer makes its list of workloads anew.
    pub list_s: f64,
    /// One pod changed: the writer publishes that list.
    pub publish_s: f64,
    /// The whole burst, published change by change.
    pub burst_singly_s: f64,
    /// The whole burst, published in one go.
    pub burst_at_once_s: f64,
}

impl Costs {
    /// Measures in this process, which should do nothing else before or after.
    pub fn measure(workloads: u32) -> Result<Self> {
        let mut costs = Self { workloads, ..Self::default() };
        // The first roster loads code and the allocator, whatever its size.
        drop(crowd::feed(WARM_UP));
        let before = resident()?;
        let feed = crowd::feed(workloads);
        costs.resident_kib = (resident()?.saturating_sub(before)) as f64 / 1024.0;
        costs.first_snapshot_s = first_snapshot(&feed)?;
        costs.lookup_ns = lookup(&feed, workloads)?;
        costs.change(&feed)?;
        costs.parse_s = parse(workloads)?;
        costs.peak_kib = status("VmHWM")?;
        Ok(costs)
    }

    /// Changes pods as `roster::kube` does: every change makes the whole list anew, and the feed compares it with the
    /// previous one.
    fn change(&mut self, feed: &Feed) -> Result<()> {
        let (mut listing, mut publishing, began) = (Vec::new(), Vec::new(), Instant::now());
        let mut version = 0;
        while version < BURST && (version < FEWEST || began.elapsed() < PATIENCE) {
            version += 1;
            let (listed, published) = once(feed, &[version % self.workloads], version);
            listing.push(listed);
            publishing.push(published);
        }
        (self.list_s, self.publish_s) = (median(listing)?, median(publishing)?);
        self.burst_singly_s = f64::from(BURST) * (self.list_s + self.publish_s);
        let all: Vec<u32> = (0..BURST.min(self.workloads)).collect();
        let bursts = (1..=FEWEST).map(|burst| once(feed, &all, BURST + burst));
        self.burst_at_once_s = median(bursts.map(|(listed, published)| listed + published).collect())?;
        ensure!(feed.current().workloads().count() == self.workloads as usize, "the roster is incomplete");
        Ok(())
    }
}

/// Publishes the list, with the `version`th change of these pods. Returns how long making and publishing it took.
fn once(feed: &Feed, changed: &[u32], version: u32) -> (f64, f64) {
    let began = Instant::now();
    let mut list: Vec<Workload> = feed.current().workloads().map(|workload| undecided(workload)).collect();
    let listed = began.elapsed().as_secs_f64();
    for number in changed {
        if let Some(workload) = list.get_mut(*number as usize) {
            workload.annotations = workload.annotations.with([("version", version.to_string())]);
        }
    }
    let began = Instant::now();
    feed.publish(list, Knowledge::Eventual, SystemTime::now());
    (listed, began.elapsed().as_secs_f64())
}

/// The median of several, because the very first measures the allocator as much as ours.
fn first_snapshot(feed: &Feed) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..FEWEST {
        let list: Vec<Workload> = feed.current().workloads().map(|workload| undecided(workload)).collect();
        let began = Instant::now();
        let fresh = Feed::default();
        fresh.publish(list, Knowledge::Eventual, SystemTime::now());
        took.push(began.elapsed().as_secs_f64());
        drop(black_box(fresh));
    }
    median(took)
}

fn lookup(feed: &Feed, workloads: u32) -> Result<f64> {
    let origins = crowd::origins(CALLERS.min(workloads), workloads);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        runtime.block_on(ask(feed, &origins))?;
        rounds.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUND));
    }
    // Other work on the machine only makes a round slower, so the fastest counts.
    rounds.into_iter().min_by(f64::total_cmp).context("nothing was measured")
}

fn median(mut seconds: Vec<f64>) -> Result<f64> {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().context("nothing was measured")
}

async fn ask(feed: &Feed, origins: &[Origin]) -> Result<()> {
    for origin in origins.iter().cycle().take(ROUND as usize) {
        let identified = black_box(identify(feed, black_box(origin), Duration::ZERO).await);
        ensure!(identified.caller.is_ok(), "the roster does not know one of its pods");
    }
    Ok(())
}

/// Parses a fixed roster's file, with pods like the crowd's.
fn parse(workloads: u32) -> Result<f64> {
    let mut text = String::new();
    for number in 0..workloads {
        let address: IpAddr = crowd::origin(number).peer.ip();
        writeln!(
            text,
            "[[workload]]\nnamespace = \"crowd\"\npod = \"pod-{number}\"\nips = [\"{address}\"]\n\
             labels = {{ app = \"crowd\", pod-template-hash = \"6d4cf56db6\" }}\n\
             annotations = {{ \"iam.amazonaws.com/role\" = \"crowd\", \"kubernetes.io/config.source\" = \"api\" }}\n"
        )?;
    }
    progress(format_args!("{workloads} workloads: parsing {} KiB", text.len() / 1024));
    let began = Instant::now();
    let parsed = fixed::parse(Path::new("roster.toml"), &text)?;
    let took = began.elapsed().as_secs_f64();
    ensure!(parsed.workloads.len() == workloads as usize, "{} workloads were parsed", parsed.workloads.len());
    Ok(took)
}

/// Resident bytes (proc(5), statm).
fn resident() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm").context("no /proc/self/statm: not Linux?")?;
    let pages: u64 = statm.split(' ').nth(1).context("statm has no second figure")?.parse()?;
    Ok(pages * PAGE)
}

/// A line of /proc/self/status, in KiB.
fn status(name: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let figure = line.and_then(|line| line.trim().strip_suffix(" kB")).with_context(|| format!("no {name}"))?;
    Ok(figure.trim().parse()?)
}
