//! What telemetry costs a hit: requests for credentials per second with all of it on, divided by those with none exported.
//!
//! On is what an operator has at most: metrics, traces at the default share and logs by OTLP to a collector that answers,
//! metrics every second, and somebody who scrapes /metrics each second. Off, instruments count for the status page all the
//! same. Both gateways and the collector are in this process. Ends by itself after about 10 seconds.

use std::{io::Write, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use metagate::{
    config::{Config, Otlp, OtlpProtocol},
    telemetry::init_log,
};
use metagate_bench::{
    Node,
    load::Load,
    node::{self, POD_ADDRESS},
    pairs::{Contender, Ratio, interleaved},
    threads::runtime,
};
use metagate_testkit::Collector;
use tokio_util::sync::CancellationToken;

const CONNECTIONS: usize = 8;
const ON: &str = "on";
const OFF: &str = "off";
/// `telemetry.trace_ratio` as it is by default.
const TRACE_RATIO: f64 = 0.01;

fn main() -> Result<()> {
    let (on_runtime, off_runtime) = (runtime(ON)?, runtime(OFF)?);
    let (client, elsewhere) = (runtime("client")?, runtime("collector")?);
    let collector = elsewhere.block_on(Collector::http())?;
    let config = exporting(&collector)?;
    let log = on_runtime.block_on(async { init_log(&config) })?;

    let node = on_runtime.block_on(Node::of(&config, Vec::new()))?;
    let (request, address) = (node.credential_request()?, node.origin.connected_to);
    let metrics = std::sync::Arc::clone(node.gateway().telemetry.metrics());
    let stop = CancellationToken::new();
    let serving = on_runtime.spawn(node.into_app().run(stop.clone()));
    elsewhere.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(metrics.text());
        }
    });
    let mut on = client.block_on(Load::connect(POD_ADDRESS, address, CONNECTIONS, &request))?;

    let node = off_runtime.block_on(Node::start())?;
    let (request, address) = (node.credential_request()?, node.origin.connected_to);
    off_runtime.spawn(node.into_app().run(stop.clone()));
    let mut off = client.block_on(Load::connect(POD_ADDRESS, address, CONNECTIONS, &request))?;

    let (mut on, mut off) = (Contender::new(ON, &mut on), Contender::new(OFF, &mut off));
    let ratio = client.block_on(interleaved(&mut on, &mut off))?;
    report(&on, &off, ratio)?;
    stop.cancel();
    on_runtime.block_on(serving).map_err(|error| anyhow!("the gateway ended badly: {error}"))?;
    on_runtime.block_on(log.flush());
    let received = collector.received();
    writeln!(
        std::io::stdout(),
        "the collector has {} spans, and metrics {} times",
        received.spans().len(),
        received.metrics.len()
    )?;
    // Otherwise nothing was measured.
    ensure!(!received.spans().is_empty() && received.metrics.len() > 1, "the collector has next to nothing");
    Ok(())
}

fn exporting(collector: &Collector) -> Result<Config> {
    let mut config = node::config().context("the sandbox's configuration")?;
    config.telemetry.otlp = Some(Otlp {
        endpoint: collector.endpoint(),
        protocol: OtlpProtocol::Http,
        metrics_interval: Duration::from_secs(1),
        trace_ratio: TRACE_RATIO,
    });
    Ok(config)
}

fn report(on: &Contender<'_>, off: &Contender<'_>, ratio: Ratio) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "IMDSv2 GET of a credential document, {CONNECTIONS} keep-alive connections")?;
    writeln!(out, "{}\n{}", on.line(), off.line())?;
    let Ratio { of_medians, least, most } = ratio;
    writeln!(
        out,
        "ratio   {of_medians:>9.3} requests/s with telemetry on to off, medians (pairs of rounds: {least:.3} to {most:.3})"
    )?;
    Ok(())
}
