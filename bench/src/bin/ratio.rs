//! Requests for credentials per second: the gateway's, a bare hyper server's, and the one divided by the other.
//!
//! Both are in this process, on runtimes of the same shape; rounds are interleaved, so that whatever else the machine does
//! falls on both. Ends by itself after about 10 seconds.

use std::{io::Write, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Response, header::DATE};
use metagate::telemetry::init_log;
use metagate_bench::{
    Node, bare,
    load::{Load, Round},
    node::{self, POD_ADDRESS},
    threads::{on_processor, runtime},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Enough to keep two workers busy, as a node's pods do when a deployment rolls out.
const CONNECTIONS: usize = 8;
/// Odd pairs begin with the gateway, even ones with the bare server.
const PAIRS: usize = 11;
const ROUND: Duration = Duration::from_millis(400);

const GATEWAY: &str = "gateway";
const BARE: &str = "bare";

fn main() -> Result<()> {
    // The access log costs a line for each request, so both ways are worth a figure.
    let log = match std::env::args().nth(1).as_deref() {
        None => None,
        Some("--log") => {
            let mut config = node::config()?;
            "info,metagate::access=debug".clone_into(&mut config.telemetry.log_level);
            Some(init_log(&config)?)
        }
        Some(other) => anyhow::bail!("{other} is no option; --log writes the access log to standard error"),
    };
    let (gateway_runtime, bare_runtime, client) = (runtime(GATEWAY)?, runtime(BARE)?, runtime("client")?);

    let node = gateway_runtime.block_on(Node::start())?;
    let (request, address) = (node.credential_request()?, node.origin.connected_to);
    let stop = CancellationToken::new();
    let serving = gateway_runtime.spawn(node.into_app().run(stop.clone()));
    let mut gateway = client.block_on(Load::connect(POD_ADDRESS, address, CONNECTIONS, &request))?;
    let genuine = client.block_on(gateway.once())?;

    let listener = bare_runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    bare_runtime.spawn(bare::serve(listener, genuine.body().clone()));
    let mut bare = client.block_on(Load::connect(POD_ADDRESS, address, CONNECTIONS, &request))?;
    same_bytes(&genuine, &client.block_on(bare.once())?)?;

    let (gateway, bare) = client.block_on(interleaved(&mut gateway, &mut bare))?;
    report(&gateway, &bare, log.is_some())?;
    stop.cancel();
    gateway_runtime.block_on(serving).context("the gateway ended badly")
}

/// What one server did in one round, and what it took of the processors.
struct Measured {
    round: Round,
    on_processor: Option<Duration>,
}

async fn interleaved(gateway: &mut Load, bare: &mut Load) -> Result<(Vec<Measured>, Vec<Measured>)> {
    measure(gateway, GATEWAY).await?;
    measure(bare, BARE).await?;
    let (mut of_gateway, mut of_bare) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        if pair % 2 == 0 {
            of_gateway.push(measure(gateway, GATEWAY).await?);
            of_bare.push(measure(bare, BARE).await?);
        } else {
            of_bare.push(measure(bare, BARE).await?);
            of_gateway.push(measure(gateway, GATEWAY).await?);
        }
    }
    Ok((of_gateway, of_bare))
}

async fn measure(load: &mut Load, threads: &str) -> Result<Measured> {
    let before = on_processor(threads);
    let round = load.round(ROUND).await?;
    let on_processor = on_processor(threads).zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(Measured { round, on_processor })
}

fn report(gateway: &[Measured], bare: &[Measured], log: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let log = if log { "with the access log" } else { "without a log" };
    writeln!(out, "IMDSv2 GET of a credential document, {CONNECTIONS} keep-alive connections, {log}")?;
    for (name, measured) in [(GATEWAY, gateway), (BARE, bare)] {
        writeln!(out, "{name:<8}{:>9.0} requests/s{}", median(measured, rate), processor_time(measured))?;
    }
    let mut pairs: Vec<f64> = gateway.iter().zip(bare).map(|(gateway, bare)| rate(gateway) / rate(bare)).collect();
    pairs.sort_by(f64::total_cmp);
    let (least, most) = (pairs.first().context("no rounds")?, pairs.last().context("no rounds")?);
    writeln!(
        out,
        "ratio   {:>9.3} requests/s of gateway to bare, medians (pairs of rounds: {least:.3} to {most:.3})",
        median(gateway, rate) / median(bare, rate)
    )?;
    Ok(())
}

fn rate(measured: &Measured) -> f64 {
    measured.round.per_second()
}

/// What serving took without the client, which requests per second include. It falls where the machine is busy, as each turn
/// of a worker then finds more to do.
fn processor_time(measured: &[Measured]) -> String {
    let each = |one: &Measured| one.on_processor.map(|time| time.as_secs_f64() * 1e6 / one.round.answers as f64);
    let known = measured.iter().all(|one| one.on_processor.is_some());
    let microseconds = median(measured, |one| each(one).unwrap_or(f64::NAN));
    if known { format!(", {microseconds:.1} µs of its threads' processor time each") } else { String::new() }
}

fn median(measured: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = measured.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// But for the date: otherwise the two would not be compared on the same work.
fn same_bytes(gateway: &Response<Bytes>, bare: &Response<Bytes>) -> Result<()> {
    let undated = |response: &Response<Bytes>| -> HeaderMap {
        let mut headers = response.headers().clone();
        headers.remove(DATE);
        headers
    };
    ensure!(gateway.status() == 200, "the gateway answers {}: {:?}", gateway.status(), gateway.body());
    ensure!(
        undated(gateway) == undated(bare) && gateway.body() == bare.body(),
        "the bare server does not answer as the gateway does: {:?} {:?}",
        gateway.headers(),
        bare.headers()
    );
    Ok(())
}
