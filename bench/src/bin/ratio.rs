//! Requests for credentials per second: the gateway's, a bare hyper server's, and the one divided by the other.
//!
//! Both are in this process, on runtimes of the same shape; rounds are interleaved, so that whatever else the machine does
//! falls on both. Ends by itself after about 10 seconds.

use std::{io::Write, net::Ipv4Addr};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Response, header::DATE};
use metagate::telemetry::init_log;
use metagate_bench::{
    Node, bare,
    load::Load,
    node::{self, POD_ADDRESS},
    pairs::{Contender, Ratio, interleaved},
    threads::runtime,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Enough to keep two workers busy, as a node's pods do when a deployment rolls out.
const CONNECTIONS: usize = 8;

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

    let (mut gateway, mut bare) = (Contender::new(GATEWAY, &mut gateway), Contender::new(BARE, &mut bare));
    let ratio = client.block_on(interleaved(&mut gateway, &mut bare))?;
    let log = if log.is_some() { "with the access log" } else { "without a log" };
    let mut out = std::io::stdout().lock();
    writeln!(out, "IMDSv2 GET of a credential document, {CONNECTIONS} keep-alive connections, {log}")?;
    writeln!(out, "{}\n{}", gateway.line(), bare.line())?;
    let Ratio { of_medians, least, most } = ratio;
    writeln!(
        out,
        "ratio   {of_medians:>9.3} requests/s of gateway to bare, medians (pairs of rounds: {least:.3} to {most:.3})"
    )?;
    stop.cancel();
    gateway_runtime.block_on(serving).context("the gateway ended badly")
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
