//! `metagate-load budgets`: measures the shipped program's budgets from outside.

use std::{io::Write, path::Path, time::Duration};

use anyhow::Result;
use metagate_load::{
    budget::{self, Row, Target},
    compare::{Measured, Pace, interleaved, median},
    flow::Flow,
    memory::{self, FULL, MIB, PODS},
    report::progress,
    round::{Load, introduced},
    server::{Hammer, Often, Server},
};

use super::compare::{bare_beside, contender};
use crate::Budgets;

/// Enough to keep two workers busy, as a node's pods do when a deployment rolls out.
const CALLERS: usize = 8;

pub(crate) async fn run(args: Budgets) -> Result<()> {
    let pace = args.pace.pace();
    let mut rows = Vec::new();
    rows.extend(throughput(&args.gateway, pace).await?);
    rows.push(fairness(&args.gateway, pace).await?);
    rows.extend(resident(&args.gateway).await?);
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
    anyhow::bail!("the measurement did not return the two servers")
}

fn beside(ours: &Measured, limit: &Measured) -> String {
    let each = |one: &Measured| one.processor_each().map_or_else(String::new, |each| format!(" at {each:.1} µs"));
    let rate = |one: &Measured| one.median(|round| round.per_second());
    format!("{:.0}/s{}, bare {:.0}/s{}", rate(ours), each(ours), rate(limit), each(limit))
}

/// Almost as many connections as one pod may have (`pods.max_connections_per_pod`): the gateway may not yet have seen
/// the end of those by which the pod learnt its role.
const HAMMERING: usize = 60;
/// The time for all its connections to be made.
const CONNECTED: Duration = Duration::from_millis(200);
/// 1,000 requests a second in all: far more than a node's pods send.
const EVERY: Duration = Duration::from_millis(8);

/// The p99 of eight pods that ask at their pace, beside one that asks as fast as it can on all the connections it may
/// have.
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

async fn resident(binary: &Path) -> Result<Vec<Row>> {
    let mut resident = [0.0; PODS.len()];
    for (held, pods) in resident.iter_mut().zip(PODS) {
        progress(format!("resident memory, fixed roster: {pods} pods"));
        let (gateway, _) = Server::gateway(binary, pods, Often::AsShipped).await?;
        *held = memory::settled(&gateway, pods).await?;
    }
    Ok(memory::rows(resident, "fixed roster"))
}

/// Starts are short, so many of them cost little.
const STARTS: usize = 11;

async fn size_and_start(binary: &Path) -> Result<Vec<Row>> {
    progress("start and size");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let (_gateway, took) = Server::gateway(binary, FULL, Often::AsShipped).await?;
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
