//! `metagate-load budgets`: what design section 5 asks of the program as it is shipped.

use std::{io::Write, path::Path, time::Duration};

use anyhow::Result;
use metagate_load::{
    budget::{self, Row, Target},
    client::Caller,
    compare::{Measured, Pace, interleaved, median},
    flow::Flow,
    report::progress,
    round::{Load, introduced},
    server::{Hammer, Often, Server},
};

use super::compare::{bare_beside, contender};
use crate::Budgets;

/// Enough to keep two workers busy, as a node's pods do when a deployment rolls out.
const CALLERS: usize = 8;
/// A full node: what kubelet runs at most by default.
const POD_COUNT: usize = 110;
const MORE_PODS: usize = 1_000;

pub(crate) async fn run(args: Budgets) -> Result<()> {
    let pace = args.pace.pace();
    let mut rows = Vec::new();
    rows.extend(throughput(&args.gateway, pace).await?);
    rows.push(fairness(&args.gateway, pace).await?);
    rows.extend(memory(&args.gateway).await?);
    rows.extend(size_and_start(&args.gateway).await?);
    budget::write(&args.rows, &rows)?;
    let mut out = std::io::stdout();
    for row in &rows {
        writeln!(out, "{}", row.line())?;
    }
    Ok(())
}

async fn throughput(binary: &Path, pace: Pace) -> Result<Vec<Row>> {
    progress("requests per second, beside a bare server");
    let (gateway, _) = Server::gateway(binary, CALLERS, Often::AsItLikes).await?;
    let callers = introduced(&gateway, CALLERS).await?;
    let bare = bare_beside(&callers).await?;
    let scripted = introduced(&bare, CALLERS).await?;
    let mut rows = Vec::new();
    for (flow, id, what, least) in [
        (Flow::KeepAlive, "B1", "requests/s ÷ bare hyper's, keep-alive", 0.90),
        (Flow::Connection, "B2", "requests/s ÷ bare hyper's, a new connection each", 0.95),
    ] {
        let contenders = [contender(&gateway, &callers, CALLERS)?, contender(&bare, &scripted, CALLERS)?];
        let measured = interleaved(&contenders, flow, pace).await?;
        let [ours, limit] = measured.as_slice() else { unasked()? };
        let rate = ours.ratio(limit, |round| round.per_second());
        let note = format!("{}; pairs {:.3} to {:.3}", beside(ours, limit), rate.least, rate.most);
        rows.push(Row::new(id, what, rate.median, "", Target::AtLeast(least)).note(note));
        let slow = ours.ratio(limit, |round| round.latency(0.99));
        let p99 = |one: &Measured| one.median(|round| round.latency(0.99));
        let note = format!("{:.0} µs, bare {:.0}; pairs {:.2} to {:.2}", p99(ours), p99(limit), slow.least, slow.most);
        rows.push(
            Row::new("B3", &format!("p99 ÷ bare hyper's, {flow}"), slow.median, "", Target::AtMost(1.25)).note(note),
        );
    }
    Ok(rows)
}

fn unasked<T>() -> Result<T> {
    anyhow::bail!("what was measured is not what was asked for")
}

fn beside(ours: &Measured, limit: &Measured) -> String {
    let each = |one: &Measured| one.processor_each().map_or_else(String::new, |each| format!(" at {each:.1} µs"));
    let rate = |one: &Measured| one.median(|round| round.per_second());
    format!("{:.0}/s{}, bare {:.0}/s{}", rate(ours), each(ours), rate(limit), each(limit))
}

/// Nearly as many connections as one pod may have (`pods.max_connections_per_pod`): those by which it learnt its role may not be
/// seen closed yet.
const HAMMERING: usize = 60;
/// For all its connections to be made.
const CONNECTED: Duration = Duration::from_millis(200);
/// 1,000 requests a second in all: far more than a node's pods ask.
const EVERY: Duration = Duration::from_millis(8);

/// The p99 of eight pods that ask at their pace, beside one that asks as fast as it can on all the connections it may have.
async fn fairness(binary: &Path, pace: Pace) -> Result<Row> {
    progress("fairness: eight pods at their pace, one that hammers");
    let (gateway, _) = Server::gateway(binary, CALLERS + 1, Often::AsShipped).await?;
    let callers = introduced(&gateway, CALLERS).await?;
    let mut load = Load::of(&callers, Flow::Sdk);
    let (mut ratios, mut quiet, mut hammered) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pace.rounds {
        let p99 = |turns: hdrhistogram::Histogram<u64>| turns.value_at_quantile(0.99) as f64 / 1e3;
        let before = p99(load.paced(EVERY, 2 * pace.time).await?);
        let mut attack = Hammer::of_pod(CALLERS, HAMMERING, gateway.address)?;
        tokio::time::sleep(CONNECTED).await;
        let under = p99(load.paced(EVERY, 2 * pace.time).await?);
        attack.goes_on()?;
        ratios.push(under / before);
        quiet.push(before);
        hammered.push(under);
    }
    let note = format!("{:.0} µs quiet, {:.0} µs beside {HAMMERING} connections", median(quiet), median(hammered));
    let what = "another pod's p99 beside one that hammers ÷ without";
    Ok(Row::new("F", what, median(ratios), "", Target::AtMost(2.0)).note(note))
}

const MIB: f64 = (1 << 20) as f64;
/// After which nothing that only the start needed is still about to be freed.
const SETTLED: Duration = Duration::from_secs(3);

async fn memory(binary: &Path) -> Result<Vec<Row>> {
    progress("resident memory: idle, 110 pods, 1,110 pods");
    let mut resident = Vec::new();
    for pods in [0, POD_COUNT, POD_COUNT + MORE_PODS] {
        let (gateway, _) = Server::gateway(binary, pods, Often::AsShipped).await?;
        let _callers: Vec<Caller> = introduced(&gateway, pods).await?;
        tokio::time::sleep(SETTLED).await;
        resident.push(gateway.resident()? as f64);
    }
    let [idle, full, crowded] = resident.as_slice() else { unasked()? };
    let each = (crowded - full) / MORE_PODS as f64 / 1024.0;
    let note = "fixed roster";
    Ok(vec![
        Row::new("B8", "resident, idle", idle / MIB, "MiB", Target::AtMost(25.0)).note(note),
        Row::new("B8", "resident, 110 pods with 110 roles", full / MIB, "MiB", Target::AtMost(32.0)).note(note),
        Row::new("B8", "each further pod", each, "KiB", Target::AtMost(4.0)).note(format!("of {MORE_PODS}")),
    ])
}

/// Starts are short, so many of them cost little.
const STARTS: usize = 11;

async fn size_and_start(binary: &Path) -> Result<Vec<Row>> {
    progress("start and size");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let (_gateway, took) = Server::gateway(binary, POD_COUNT, Often::AsShipped).await?;
        starts.push(took.as_secs_f64() * 1e3);
    }
    let note =
        format!("{STARTS} starts with 110 pods, the slowest {:.0} ms", starts.iter().copied().fold(0.0, f64::max));
    let bytes = std::fs::metadata(binary)?.len() as f64;
    Ok(vec![
        Row::new("B9", "start to listening", median(starts), "ms", Target::AtMost(100.0)).note(note),
        Row::new("B9", "size of the program", bytes / MIB, "MiB", Target::AtMost(32.0)),
    ])
}
