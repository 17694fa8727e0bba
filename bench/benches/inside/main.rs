//! The budgets that need the gateway's own parts. B7, B10, and B8 with a cluster's API server are measured here; B5 and
//! B6 are read from criterion's results, B4 from callgrind's. `make bench` runs them in that order.

mod cluster;

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use metagate::roster::Entry;
use metagate::{
    app::{self, App, Parts},
    clock::Clock,
    credential::{Fetch, Source},
    credential_key::CredentialKey,
    roster::{Feed, Knowledge},
    source::SandboxSource,
};
use metagate_bench::{node, threads::runtime};
use metagate_load::budget::{self, Row, Target};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// STS in the same region answers in 20 to 200 ms.
const LATENCY: Duration = Duration::from_millis(100);
const CALLERS: usize = 10_000;
const PODS: usize = 21;

fn main() -> Result<()> {
    // cargo runs benches in their package's folder.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let serving = runtime("gateway")?;
    let mut measured = timed(&target.join("criterion"))?;
    measured.extend(counted(&target.join("gungraun/metagate-bench/instructions/hit"))?);
    measured.extend([serving.block_on(one_call_for_all())?, serving.block_on(ready_before_it_asks())?]);
    measured.extend(serving.block_on(cluster::resident(&target.join("release/metagate")))?);
    budget::write(&target.join("bench/rows.jsonl"), &measured)?;
    let mut out = std::io::stdout().lock();
    for row in &measured {
        writeln!(out, "{}", row.line())?;
    }
    Ok(())
}

/// Answers as the sandbox does, but as slowly as STS, and counts the calls.
struct Slow {
    sandbox: SandboxSource,
    calls: AtomicU64,
}

impl Source for Slow {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            sleep(LATENCY).await;
            self.sandbox.fetch(key).await
        })
    }
}

/// A gateway without pods, over a slow source.
async fn gateway() -> Result<(App, Arc<Feed>, Arc<Slow>)> {
    let source = Arc::new(Slow { sandbox: SandboxSource::new(Clock::system()), calls: AtomicU64::new(0) });
    let feed = Arc::new(Feed::default());
    let asked: Arc<dyn Source> = source.clone();
    let parts = Parts { feed: Some(Arc::clone(&feed)), source: Some(asked), ..Parts::default() };
    Ok((app::build(&node::config()?, parts).await?, feed, source))
}

async fn one_call_for_all() -> Result<Row> {
    let (app, feed, source) = gateway().await?;
    feed.publish(vec![node::listed()?], Knowledge::Complete, SystemTime::now());
    let gateway = Arc::clone(app.gateway());
    let entry = gateway.feed.current().entries().next().context("no pod")?.clone();
    let granted = gateway.policy.grant(entry.principal()).await.map_err(|why| anyhow::anyhow!("{why:?}"))?;
    let mut asking = JoinSet::new();
    for _ in 0..CALLERS {
        let (gateway, grant) = (Arc::clone(&gateway), Arc::clone(&granted.grant));
        asking.spawn(async move { gateway.credentials.for_grant(&grant).await.is_ok() });
    }
    let answered = asking.join_all().await.into_iter().filter(|answered| *answered).count();
    ensure!(answered == CALLERS, "{answered} of {CALLERS} were answered");
    let calls = source.calls.load(Ordering::Relaxed) as f64;
    let what = "source calls for 10,000 callers on one cold key";
    Ok(Row::new("B7", what, calls, "", Target::Exactly(1.0)).note("all answered"))
}

async fn ready_before_it_asks() -> Result<Row> {
    let (app, feed, _source) = gateway().await?;
    feed.publish(Vec::new(), Knowledge::Complete, SystemTime::now());
    let gateway = Arc::clone(app.gateway());
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(stop.clone()));
    let mut late = Vec::new();
    for number in 0..PODS {
        sleep(Duration::from_millis(20)).await;
        let address = [127, 0, 1, u8::try_from(number)?].into();
        // Another session name makes another key.
        let pod = node::sibling(&node::listed()?, &format!("checkout-new-{number}"), address, ("bench", "new"));
        let name = (pod.namespace.clone(), pod.pod.clone());
        let seen = Instant::now();
        feed.publish(vec![pod], Knowledge::Complete, SystemTime::now());
        let entry: Arc<Entry> = feed.current().named(&name.0, &name.1).context("the pod was not published")?.clone();
        // The poll is fine-grained: the measured time is a fifth of the budget.
        loop {
            let decided = entry.decision.last_final();
            let granted = decided.as_ref().and_then(|decision| decision.outcome.grant());
            if granted.is_some_and(|grant| gateway.credentials.peek(grant).is_some()) {
                break;
            }
            ensure!(seen.elapsed() < Duration::from_secs(10), "no credential after 10 s");
            sleep(Duration::from_micros(200)).await;
        }
        late.push((seen.elapsed().saturating_sub(LATENCY)).as_secs_f64() * 1e3);
    }
    stop.cancel();
    running.await?;
    late.sort_by(f64::total_cmp);
    let (median, most) = (late.get(PODS / 2).context("no pods")?, late.last().context("no pods")?);
    let what = "pod seen to credential ready, beyond the source's latency";
    Ok(Row::new("B10", what, *median, "ms", Target::AtMost(20.0)).note(format!("of {PODS}, the slowest {most:.1}")))
}

/// The rows that callgrind's counts give.
fn counted(folder: &Path) -> Result<Vec<Row>> {
    let of =
        |bench: &str| number(&folder.join(bench).join("summary.json"), "/profiles/0/data/total/metrics/Ir/values/new");
    let (gateway, bare, request) = (of("connection.gateway")?, of("connection.bare")?, of("request.hit")?);
    let beyond = (gateway - bare) / REQUESTS_COUNTED;
    let what = "instructions of a request on a connection, beyond the bare server's";
    let note = "in the build of bench/instructions.toml; `make instructions` fails at 3 % more than is committed";
    Ok(vec![
        Row::new("B4", what, beyond, "", None).note(note),
        Row::new("B4", "of these, between hyper's parser and its writer", request, "", None),
    ])
}

/// The requests on one connection in `benches/instructions.rs`.
const REQUESTS_COUNTED: f64 = 100.0;

fn number(file: &Path, pointer: &str) -> Result<f64> {
    let text = std::fs::read(file).with_context(|| format!("no {}; run its bench first", file.display()))?;
    let parsed: serde_json::Value = serde_json::from_slice(&text)?;
    let number = parsed.pointer(pointer).and_then(serde_json::Value::as_f64);
    number.with_context(|| format!("no {pointer} in {}", file.display()))
}

/// The rows that criterion's estimates give.
fn timed(folder: &Path) -> Result<Vec<Row>> {
    let median = |bench: &str| number(&folder.join(bench).join("new/estimates.json"), "/median/point_estimate");
    let cached = median("decision/in the workload's cell")?;
    let cold = median("decision/worked out")? / 1e3;
    let views = median("decision/views for three plugins")? / 1e3;
    let started = median("decision/three instances")? / 1e3;
    let resolved = median("decision/three instances, resolve")? / 1e3;
    let authorized = median("decision/three instances, resolve, authorize")? / 1e3;
    // Each part was measured by itself, so the rest may be smaller than their variance.
    let parts = format!(
        "start and drop {started:.1}, one resolve {:.1}, three authorize {:.1}, their input {views:.1}, the rest {:.1}",
        resolved - started,
        authorized - resolved,
        cold - authorized - views,
    );
    let (few, many) = (median("caller/among 10")?, median("caller/among 100000")?);
    let note = format!("{few:.0} ns among 10, {many:.0} among 100,000");
    Ok(vec![
        Row::new("B5", "decision, cached", cached, "ns", Target::AtMost(200.0)),
        Row::new("B5", "decision, worked out by three fresh instances", cold, "µs", Target::AtMost(80.0)).note(parts),
        Row::new("B6", "caller among 100,000 workloads ÷ among 10", many / few, "", Target::AtMost(1.3)).note(note),
    ])
}
