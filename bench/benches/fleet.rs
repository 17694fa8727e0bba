//! How many STS calls 10 to 10,000 nodes make in one account, and how long their pods wait for credentials. The
//! gateway's own keepers run under a virtual clock, with and without prefetch, on working days and after a power cut.
//!
//! `--write DIR` stores the printed text and the plots in DIR; `--nodes N` stops at that size; `--only working` or
//! `--only boot` runs only that part.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use metagate::policy::Grant;
use metagate_bench::{
    fleet::{
        Fetching, Fleet, Outcome,
        churn::{Churn, PODS_A_NODE},
        sts::{PUBLISHED, Second},
        tally::quantile,
    },
    grants,
    plot::{Axis, Curve, Plot},
};
use metagate_load::report::Report;

const NODES: [u32; 4] = [10, 100, 1_000, 10_000];
/// Each size is measured for the same time, eight rounds of jobs and five rollouts, so that the busiest seconds
/// compare.
const WORKING: Churn = Churn::Steady(Duration::from_secs(2 * 3600));
/// It ends just before the first renewals.
const BOOT: Churn = Churn::Boot(Duration::from_secs(26 * 60));
type Way = (Fetching, &'static str);
const PREFETCH: Way = (Fetching::WhenSeen, "yes");
const NONE: Way = (Fetching::OnDemand, "no");
/// The gateway does not do this.
const EARLIER: Way = (Fetching::WhenBound, "from binding");

/// One size of fleet and one way of fetching.
struct Run {
    nodes: u32,
    way: Way,
    outcome: Outcome,
    seconds: Vec<Second>,
}

fn main() -> Result<()> {
    let (mut folder, mut most, mut only) = (None, u32::MAX, None);
    // cargo passes `--bench` to every bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(option) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--write" => folder = Some(PathBuf::from(value)),
            "--nodes" => most = value.parse()?,
            "--only" if ["working", "boot"].contains(&value.as_str()) => only = Some(value),
            other => {
                bail!("{other} {value} is not an option; use --write DIR, --nodes N, --only working or --only boot")
            }
        }
    }
    let sizes: Vec<u32> = NODES.into_iter().filter(|nodes| *nodes <= most).collect();
    let mut report = Report::begin("fleet", folder)?;
    let grants = grants::distinct(most_pods(&sizes))?;
    if only.as_deref() != Some("boot") {
        let working = working(&mut report, &sizes, &grants)?;
        capacity(&mut report, &working)?;
        draw_working(&report, &working)?;
    }
    if only.as_deref() != Some("working") {
        let boots = boot(&mut report, &sizes, &grants)?;
        draw_boot(&report, &boots)?;
    }
    report.keep()
}

fn most_pods(sizes: &[u32]) -> usize {
    let of = |nodes: u32| (0..nodes).map(move |node| WORKING.pods(node, nodes).len());
    sizes.iter().flat_map(|nodes| of(*nodes)).max().unwrap_or_default()
}

fn run(nodes: u32, churn: Churn, way: Way, grants: &[Arc<Grant>]) -> Result<Run> {
    let fleet = Fleet { nodes, churn, fetching: way.0, quota: PUBLISHED };
    let outcome = fleet.run(grants)?;
    let (from, end) = (churn.measured_from(), churn.end());
    let mut seconds = outcome.account.seconds(from);
    seconds.resize(usize::try_from((end - from).as_secs())?, Second::default());
    Ok(Run { nodes, way, outcome, seconds })
}

fn working(report: &mut Report, sizes: &[u32], grants: &[Arc<Grant>]) -> Result<Vec<Run>> {
    report.line(format_args!(
        "\nworking hours: {PODS_A_NODE} pods with a role a node, sessions of 1 h, one a pod (the default); 2 h are measured"
    ))?;
    report.line(
        "nodes  prefetch       STS calls/s: mean  busiest  throttled  first requests  that wait  median ms  p99 ms  \
         longest s  in vain  simulated in s",
    )?;
    let mut runs = Vec::new();
    for nodes in sizes {
        for way in [PREFETCH, NONE, EARLIER] {
            let run = run(*nodes, WORKING, way, grants)?;
            let waits = run.outcome.tally.waits();
            report.line(format_args!(
                "{:>5}  {:<13}  {:>17.2}  {:>7}  {:>9}  {:>14}  {:>8.2}%  {:>9.0}  {:>6.0}  {:>9.1}  {:>7}  {:>14.0}",
                nodes,
                way.1,
                run.mean(),
                run.busiest(),
                run.throttled(),
                waits.requests,
                waits.share * 100.0,
                waits.median.as_secs_f64() * 1e3,
                waits.p99.as_secs_f64() * 1e3,
                waits.longest.as_secs_f64(),
                waits.in_vain,
                run.outcome.took.as_secs_f64(),
            ))?;
            runs.push(run);
        }
    }
    if let Some(last) = runs.last() {
        let known = last.outcome.tally.waits().before_known * 100.0;
        report.line(format_args!(
            "{known:.0}% of the first requests come before the roster knows the pod, and wait for the roster too"
        ))?;
    }
    Ok(runs)
}

/// How many nodes one account and region can serve, by the largest fleet's figures.
fn capacity(report: &mut Report, runs: &[Run]) -> Result<()> {
    let Some(largest) = runs.iter().rfind(|run| run.way == PREFETCH) else { return Ok(()) };
    let quota = PUBLISHED.a_second;
    let (mean, busiest) =
        (largest.mean() / f64::from(largest.nodes), f64::from(largest.busiest()) / f64::from(largest.nodes));
    report.line(format_args!("\nby STS's published quota of {quota:.0} requests/s per account and region"))?;
    report.line(format_args!(
        "{PODS_A_NODE} pods a node: {:.0} nodes by the mean rate, {:.0} by the busiest second ({} nodes simulated)",
        quota / mean,
        quota / busiest,
        largest.nodes
    ))?;
    for (pods, hours) in [(30.0, 1.0), (30.0, 12.0), (110.0, 1.0), (110.0, 12.0)] {
        let renewals = pods / (hours * 1800.0);
        // Calls that are not renewals come from starts, as simulated.
        let starts = mean - f64::from(PODS_A_NODE) / 1800.0;
        let each = renewals + starts.max(0.0) * pods / f64::from(PODS_A_NODE);
        report.line(format_args!(
            "{pods:>4} pods a node, sessions of {hours:>2} h: {each:.4} calls/s a node; the quota allows {:>7.0} nodes, half of it {:>7.0}",
            quota / each,
            quota / each / 2.0
        ))?;
    }
    Ok(())
}

fn boot(report: &mut Report, sizes: &[u32], grants: &[Arc<Grant>]) -> Result<Vec<Run>> {
    report.line("\nevery node boots in the same second, its pods start within 30 s; 26 min are simulated")?;
    report.line(
        "nodes  prefetch       credentials  STS calls  throttled  busiest second  served: 50% s  90% s  99% s  last s  \
         at the quota s  in vain",
    )?;
    let mut runs = Vec::new();
    for nodes in sizes {
        for way in [PREFETCH, NONE] {
            let run = run(*nodes, BOOT, way, grants)?;
            let moments = run.outcome.tally.moments();
            let [half, most, nearly, last] = [0.5, 0.9, 0.99, 1.0].map(|share| quantile(&moments, share).as_secs_f64());
            report.line(format_args!(
                "{:>5}  {:<13}  {:>11}  {:>9}  {:>9}  {:>14}  {:>13.0}  {:>5.0}  {:>5.0}  {:>6.0}  {:>14.0}  {:>7}",
                nodes,
                way.1,
                run.outcome.pods,
                run.calls(),
                run.throttled(),
                run.busiest(),
                half,
                most,
                nearly,
                last,
                run.outcome.pods as f64 / PUBLISHED.a_second,
                run.outcome.pods - moments.len(),
            ))?;
            runs.push(run);
        }
    }
    Ok(runs)
}

fn draw_working(report: &Report, runs: &[Run]) -> Result<()> {
    let of = |way: Way, figure: fn(&Run) -> f64| -> Vec<(f64, f64)> {
        runs.iter().filter(|run| run.way == way).map(|run| (f64::from(run.nodes), figure(run))).collect()
    };
    let nodes = || Axis::log("nodes, 30 pods with a role each", 7.0..15_000.0);
    let busiest = |run: &Run| f64::from(run.busiest());
    if let Some(file) = report.plot("calls") {
        let curves = vec![
            Curve::measured("busiest second, with prefetch", of(PREFETCH, busiest)),
            Curve::measured("busiest second, without", of(NONE, busiest)),
            Curve::measured("mean, with prefetch and without", of(PREFETCH, Run::mean)),
            Curve::line("STS's quota, an account and region", vec![(7.0, 600.0), (15_000.0, 600.0)]),
        ];
        let y = Axis::log("STS calls a second", 0.05..50_000.0);
        Plot { title: "What a fleet asks of STS in working hours", x: nodes(), y, curves }.draw(&file)?;
    }
    if let Some(file) = report.plot("waits") {
        let share = |run: &Run| run.outcome.tally.waits().share * 100.0;
        let curves = vec![
            Curve::measured("without prefetch", of(NONE, share)),
            Curve::measured("with prefetch", of(PREFETCH, share)),
            Curve::measured("with a prefetch from the pod's binding on (not built)", of(EARLIER, share)),
        ];
        let y = Axis::linear("% of pods' first requests that wait", 0.0..140.0);
        Plot { title: "First requests that find no credential yet", x: nodes(), y, curves }.draw(&file)?;
    }
    if let (Some(file), Some(largest)) = (report.plot("hours"), runs.iter().rfind(|run| run.way == PREFETCH)) {
        let minutes =
            largest.seconds.iter().zip(0..).map(|(second, at)| (f64::from(at) / 60.0, f64::from(second.calls)));
        let curves = vec![
            Curve::line(format!("{} nodes, with prefetch", largest.nodes), minutes.collect()),
            Curve::line("STS's quota", vec![(0.0, PUBLISHED.a_second), (120.0, PUBLISHED.a_second)]),
        ];
        let y = Axis::linear("STS calls in each second", 0.0..PUBLISHED.a_second.max(busiest(largest)) * 1.3);
        let x = Axis::linear("minutes", 0.0..120.0);
        Plot { title: "Renewals, rollouts and each quarter-hour's jobs", x, y, curves }.draw(&file)?;
    }
    Ok(())
}

fn draw_boot(report: &Report, runs: &[Run]) -> Result<()> {
    let Some(file) = report.plot("boot") else { return Ok(()) };
    let ahead = runs.iter().filter(|run| run.way == PREFETCH && run.nodes >= 100);
    let curves = ahead.map(|run| {
        let moments = run.outcome.tally.moments();
        let at = |percent: u32| quantile(&moments, f64::from(percent) / 100.0).as_secs_f64();
        let served = moments.len() as f64 / run.outcome.pods as f64;
        let points = (1..=100).map(|percent| (at(percent).max(1.0), f64::from(percent) * served));
        Curve::line(format!("{} nodes", run.nodes), points.collect())
    });
    Plot {
        title: "Every node boots in the same second: pods that have their credentials",
        x: Axis::log("seconds since the boot", 1.0..1600.0),
        y: Axis::linear("% of pods", 0.0..125.0),
        curves: curves.collect(),
    }
    .draw(&file)
}

impl Run {
    fn calls(&self) -> u64 {
        self.seconds.iter().map(|second| u64::from(second.calls)).sum()
    }

    fn throttled(&self) -> u64 {
        self.seconds.iter().map(|second| u64::from(second.throttled)).sum()
    }

    fn mean(&self) -> f64 {
        self.calls() as f64 / self.seconds.len().max(1) as f64
    }

    fn busiest(&self) -> u32 {
        self.seconds.iter().map(|second| second.calls).max().unwrap_or_default()
    }
}
