//! `metagate-load compare`

use std::{io::Write, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use metagate_load::{
    bare::Script,
    client::Caller,
    compare::{Contender, Measured, interleaved},
    flow::Flow,
    report::progress,
    round::introduced,
    server::{Often, Server, address_of},
};

use crate::Compare;

pub(crate) async fn run(args: Compare) -> Result<()> {
    let most = args.callers.iter().copied().max().context("no callers")?.max(1);
    progress(format!("starting the gateway with {most} pods"));
    let (gateway, _) = Server::gateway(&args.gateway, most, Often::AsItLikes).await?;
    let callers = introduced(&gateway, most).await?;
    let bare = bare_beside(&callers).await?;
    let scripted = introduced(&bare, most).await?;
    let other = match &args.against {
        Some(url) => Some(other(url, most).await?),
        None => None,
    };
    let mut out = std::io::stdout();
    writeln!(out, "{HEAD}")?;
    for flow in &args.flow {
        for count in &args.callers {
            let mut contenders = vec![contender(&gateway, &callers, *count)?, contender(&bare, &scripted, *count)?];
            if let Some((server, callers)) = &other {
                contenders.push(contender(server, callers, *count)?);
            }
            let measured = interleaved(&contenders, *flow, args.pace.pace()).await?;
            print(&mut out, *flow, *count, &measured)?;
        }
    }
    Ok(())
}

const HEAD: &str =
    "flow        callers server    requests/s   p50 µs   p99 µs  server µs/request  ratio to bare (least to most)";

fn print(out: &mut impl Write, flow: Flow, callers: usize, measured: &[Measured]) -> Result<()> {
    let limit = measured.get(1).context("there is no bare server")?;
    for one in measured {
        let (rate, p50, p99) =
            (one.median(|r| r.per_second()), one.median(|r| r.latency(0.5)), one.median(|r| r.latency(0.99)));
        let processor = one.processor_each().map_or_else(|| "-".into(), |each| format!("{each:.1}"));
        let ratio = one.ratio(limit, |round| round.per_second());
        writeln!(
            out,
            "{:<12}{callers:>7} {:<9}{rate:>11.0}{p50:>9.0}{p99:>9.0}{processor:>19}  {:.3} ({:.3} to {:.3})",
            flow.to_string(),
            one.name,
            ratio.median,
            ratio.least,
            ratio.most
        )?;
    }
    out.flush()?;
    Ok(())
}

/// A bare server that repeats the gateway's answers to its first caller.
pub(crate) async fn bare_beside(callers: &[Caller]) -> Result<Server> {
    let first = callers.first().context("no callers")?;
    let answer = first.credential(&mut first.connect().await?).await?;
    let document = String::from_utf8(answer.body().to_vec()).context("the document is not text")?;
    let token = first.token.clone().context("the gateway gives no session token")?;
    let script = Script { token, role: first.role.clone(), document };
    let bare = Server::bare(&script).await?;
    same_bytes(first, &Caller::introduced(address_of(0), bare.address).await?).await?;
    Ok(bare)
}

/// Checks that both send the same bytes, except for the date; otherwise the comparison would not be of the same work.
async fn same_bytes(gateway: &Caller, bare: &Caller) -> Result<()> {
    let mut answers = Vec::new();
    for caller in [gateway, bare] {
        let mut answer = caller.credential(&mut caller.connect().await?).await?;
        answer.headers_mut().remove(http::header::DATE);
        answers.push((answer.headers().clone(), answer.into_body()));
    }
    ensure!(answers.first() == answers.last(), "the bare server does not answer as the gateway does: {answers:?}");
    Ok(())
}

pub(crate) fn contender<'a>(server: &'a Server, callers: &'a [Caller], count: usize) -> Result<Contender<'a>> {
    Ok(Contender { server, callers: callers.get(..count).context("fewer callers than asked for")? })
}

async fn other(url: &str, callers: usize) -> Result<(Server, Vec<Caller>)> {
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let address: SocketAddr =
        address.parse().with_context(|| format!("--against {url}: expected http://ADDRESS:PORT"))?;
    let server = Server::running("other", address);
    let callers = introduced(&server, callers).await.context("--against")?;
    Ok((server, callers))
}
