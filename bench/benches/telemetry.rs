//! What telemetry costs a hit: credential requests per second with all telemetry on, divided by those with no export.
//!
//! *On* is the most that an operator can have: metrics, traces at the default ratio and logs by OTLP to a collector
//! that answers, metrics every second, and a scrape of /metrics each second. *Off*, instruments still count for the
//! status page. Both gateways and the collector are in this process. The bench ends by itself after about 10 seconds.

use std::{io::Write, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use metagate::{
    config::{Config, Otlp, OtlpProtocol},
    telemetry::init_log,
};
use metagate_bench::{
    Node,
    node::{self, POD_ADDRESS},
    threads::runtime,
};
use metagate_load::{
    client::Caller,
    compare::{Contender, Measured, Pace, interleaved},
    flow::Flow,
    server::Server,
};
use metagate_testkit::Collector;
use tokio_util::sync::CancellationToken;

const CONNECTIONS: usize = 8;
const PACE: Pace = Pace { rounds: 11, time: Duration::from_millis(400) };
const ON: &str = "on";
const OFF: &str = "off";
/// The default of `telemetry.trace_ratio`.
const TRACE_RATIO: f64 = 0.01;

fn main() -> Result<()> {
    let (on_runtime, off_runtime) = (runtime(ON)?, runtime(OFF)?);
    let (client, elsewhere) = (runtime("client")?, runtime("collector")?);
    let collector = elsewhere.block_on(Collector::http())?;
    let config = exporting(&collector)?;
    let log = on_runtime.block_on(async { init_log(&config) })?;

    let node = on_runtime.block_on(Node::of(&config, Vec::new()))?;
    let on = Server::on_threads(ON, node.origin.connected_to);
    let metrics = std::sync::Arc::clone(node.gateway().telemetry.metrics());
    let stop = CancellationToken::new();
    let serving = on_runtime.spawn(node.into_app().run(stop.clone()));
    elsewhere.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(metrics.text());
        }
    });

    let node = off_runtime.block_on(Node::start())?;
    let off = Server::on_threads(OFF, node.origin.connected_to);
    off_runtime.spawn(node.into_app().run(stop.clone()));

    report(&client.block_on(side_by_side(&on, &off))?)?;
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
    // If nothing was exported, nothing was measured.
    ensure!(!received.spans().is_empty() && received.metrics.len() > 1, "the collector received too little");
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

/// The same pod asks both, on the same number of connections.
async fn side_by_side(on: &Server, off: &Server) -> Result<Vec<Measured>> {
    let asks_on = vec![Caller::introduced(POD_ADDRESS, on.address).await?; CONNECTIONS];
    let asks_off = vec![Caller::introduced(POD_ADDRESS, off.address).await?; CONNECTIONS];
    let contenders = [Contender { server: on, callers: &asks_on }, Contender { server: off, callers: &asks_off }];
    interleaved(&contenders, Flow::KeepAlive, PACE).await
}

fn report(measured: &[Measured]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "IMDSv2 GET of a credential document, {CONNECTIONS} keep-alive connections")?;
    for one in measured {
        let each = one.processor_each().context("the kernel does not report processor time")?;
        let rate = one.median(|round| round.per_second());
        writeln!(out, "{:<8}{rate:>9.0} requests/s, {each:.1} µs of its threads' processor time each", one.name)?;
    }
    let [on, off] = measured else { bail!("two gateways are measured") };
    let ratio = on.ratio(off, |round| round.per_second());
    writeln!(
        out,
        "ratio   {:>9.3} requests/s with telemetry on to off, median of pairs of rounds ({:.3} to {:.3})",
        ratio.median, ratio.least, ratio.most
    )?;
    Ok(())
}
