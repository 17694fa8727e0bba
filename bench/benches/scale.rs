//! Curves of cost against size: a roster of 10 to 100,000 workloads, a keeper of 1 to 1,000 roles.
//!
//! `--write DIR` stores the printed text and the plots in DIR. Each size of roster is measured in its own process,
//! which this program starts as `scale of COUNT`.

use std::{env::current_exe, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use metagate_bench::{
    grants,
    plot::{Axis, Curve, Plot},
    scale::{
        keeper::KeeperCost,
        roster::{BURST, Costs},
    },
};
use metagate_load::report::{Report, progress};

/// From 10 pods over a node's usual maximum (110) to sizes that show how cost grows.
const WORKLOADS: [u32; 5] = [10, 110, 1_000, 10_000, 100_000];
const ROLES: [usize; 4] = [1, 10, 100, 1_000];

fn main() -> Result<()> {
    // cargo passes `--bench` to every bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = match (arguments.next().as_deref(), arguments.next()) {
        (Some("of"), Some(count)) => return child(count.parse()?),
        (Some("--write"), Some(folder)) => Some(PathBuf::from(folder)),
        (None, _) => None,
        (Some(other), _) => bail!("{other} is not an option; use --write DIR"),
    };
    let mut report = Report::begin("scale", folder)?;
    rosters(&mut report)?;
    keepers(&mut report)?;
    report.keep()
}

fn child(count: u32) -> Result<()> {
    Ok(serde_json::to_writer(std::io::stdout().lock(), &Costs::measure(count)?)?)
}

fn rosters(report: &mut Report) -> Result<()> {
    report.line("\nroster: cost against workloads")?;
    report.line(
        "workloads  lookup ns  kept KiB  B a workload  peak KiB  parse ms  first snapshot ms  \
         one change: list ms + publish ms  burst singly s  burst at once ms",
    )?;
    let mut all = Vec::new();
    for count in WORKLOADS {
        progress(format_args!("{count} workloads"));
        let output = Command::new(current_exe()?).args(["of", &count.to_string()]).output()?;
        ensure!(output.status.success(), "{count} workloads: {}", String::from_utf8_lossy(&output.stderr));
        let costs: Costs = serde_json::from_slice(&output.stdout).context("the child process wrote no figures")?;
        let each = costs.resident_kib * 1024.0 / f64::from(count);
        report.line(format_args!(
            "{:>9}  {:>9.1}  {:>8.0}  {:>12.0}  {:>8.0}  {:>8.2}  {:>17.3}  {:>15.3} + {:<12.3}  {:>14.3}  {:>16.2}",
            count,
            costs.lookup_ns,
            costs.resident_kib,
            each,
            costs.peak_kib,
            costs.parse_s * 1e3,
            costs.first_snapshot_s * 1e3,
            costs.list_s * 1e3,
            costs.publish_s * 1e3,
            costs.burst_singly_s,
            costs.burst_at_once_s * 1e3,
        ))?;
        all.push(costs);
    }
    report.line(format_args!("a burst changes {BURST} pods; at once in a smaller roster, it changes each pod once"))?;
    draw_rosters(report, &all)
}

fn draw_rosters(report: &Report, all: &[Costs]) -> Result<()> {
    let of = |figure: fn(&Costs) -> f64| -> Vec<(f64, f64)> {
        all.iter().map(|costs| (f64::from(costs.workloads), figure(costs))).collect()
    };
    let workloads = || Axis::log("workloads in the roster", 7.0..150_000.0);
    let most = all.iter().map(|costs| costs.lookup_ns).fold(0.0, f64::max);
    let plots = [
        (
            "lookup",
            Plot {
                title: "Peer address to workload, 1,000 callers in turn",
                x: workloads(),
                y: Axis::linear("nanoseconds a lookup", 0.0..(most * 1.25)),
                curves: vec![Curve::measured("lookup", of(|costs| costs.lookup_ns))],
            },
        ),
        (
            "memory",
            Plot {
                title: "Resident memory of a roster",
                x: workloads(),
                y: Axis::log("KiB", 10.0..3_000_000.0),
                curves: vec![
                    Curve::measured("the process's peak, while it parses a file", of(|costs| costs.peak_kib)),
                    Curve::measured("kept by the snapshot", of(|costs| costs.resident_kib.max(10.0))),
                ],
            },
        ),
        (
            "update",
            Plot {
                title: "A burst of 1,000 pod changes, and a start",
                x: workloads(),
                y: Axis::log("seconds", 0.000_001..20_000.0),
                curves: vec![
                    Curve::measured("burst, published change by change", of(|costs| costs.burst_singly_s)),
                    Curve::measured("burst, published in one go", of(|costs| costs.burst_at_once_s)),
                    Curve::measured("start: a fixed roster's file parsed", of(|costs| costs.parse_s)),
                    Curve::measured("start: the first snapshot", of(|costs| costs.first_snapshot_s)),
                ],
            },
        ),
    ];
    plots
        .iter()
        .filter_map(|(name, plot)| Some((report.plot(name)?, plot)))
        .try_for_each(|(file, plot)| plot.draw(&file))
}

fn keepers(report: &mut Report) -> Result<()> {
    report.line("\nkeeper: source calls against roles (source latency 100 ms, concurrent_fetches 8)")?;
    report.line(
        "roles  cold start s  peak calls/s  renewals' peak/s  the same, all issued in one second  \
         µs a fetch: cold start, of a day  fetches a day  µs a keep",
    )?;
    let most = ROLES.into_iter().max().unwrap_or_default();
    let grants = grants::distinct(most)?;
    let mut all = Vec::new();
    for count in ROLES {
        progress(format_args!("{count} roles for a day"));
        let cost = KeeperCost::measure(grants.get(..count).context("too few grants")?)?;
        let (renewals, of_one) = cost.peaks_of_renewal();
        report.line(format_args!(
            "{:>5}  {:>12.2}  {:>12}  {:>16}  {:>34}  {:>27.1}, {:<8.1}  {:>13}  {:>9.1}",
            cost.roles,
            cost.cold_start.as_secs_f64(),
            cost.peak_of_start(),
            renewals,
            of_one,
            cost.each_first.as_secs_f64() * 1e6,
            cost.each_of_a_day.as_secs_f64() * 1e6,
            cost.fetches_a_day,
            cost.each_keep.as_secs_f64() * 1e6,
        ))?;
        all.push(cost);
    }
    draw_keepers(report, &all)
}

fn draw_keepers(report: &Report, all: &[KeeperCost]) -> Result<()> {
    let of = |figure: fn(&KeeperCost) -> u32| -> Vec<(f64, f64)> {
        all.iter().map(|cost| (cost.roles as f64, f64::from(figure(cost)))).collect()
    };
    let minutes = |seconds: &[u32]| -> Vec<(f64, f64)> {
        let numbered = seconds.iter().zip(0..).map(|(count, second)| (f64::from(second) / 60.0, f64::from(*count)));
        numbered.filter(|(minute, _)| (26.0..=34.0).contains(minute)).collect()
    };
    if let Some(file) = report.plot("keeper") {
        let plot = Plot {
            title: "A keeper's source calls in its busiest second",
            x: Axis::log("distinct roles", 0.8..1_300.0),
            y: Axis::log("calls a second", 0.8..2_000.0),
            curves: vec![
                Curve::measured("cold start: all fetched at once", of(KeeperCost::peak_of_start)),
                Curve::measured("renewals half an hour later", of(|cost| cost.peaks_of_renewal().0)),
                Curve::measured("renewals, all issued in the same second", of(|cost| cost.peaks_of_renewal().1)),
            ],
        };
        plot.draw(&file)?;
    }
    if let (Some(file), Some(most)) = (report.plot("renewals"), all.last()) {
        let plot = Plot {
            title: "1,000 roles issued in the same second are renewed over six minutes",
            x: Axis::linear("minutes after they were issued", 26.0..34.0),
            y: Axis::linear("source calls a second", 0.0..14.0),
            curves: vec![Curve::line("calls", minutes(&most.seconds_of_one))],
        };
        plot.draw(&file)?;
    }
    Ok(())
}
