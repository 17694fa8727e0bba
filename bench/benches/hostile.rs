//! What hostile plugins do to other pods: the p99 of a pod that is served, and of a pod that gets its first decision.
//! Both are measured without and with two attacking pods that ask all the time: for one of them a plugin loops forever,
//! for the other it takes all the memory that it can get.
//!
//! Both are measured in one process, in turn. The bench ends by itself after about 30 seconds.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use hdrhistogram::Histogram;
use metagate::roster::Entry;
use metagate::{
    config::{self, Mode, PluginCode},
    handle::Gateway,
    workload::Workload,
};
use metagate_bench::{
    Node,
    node::{POD_ADDRESS, listed, sibling, undecided},
    threads::runtime,
};
use metagate_load::{
    client::Caller,
    flow::{Flow, histogram},
    round::{Load, hammer},
};
use metagate_plugin_artifacts::testing::HOSTILE;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// The annotation that says what the hostile plugin does to a pod.
const SCRIPT: &str = "bench.metagate/deed";
const ATTACKS: [(&str, Ipv4Addr); 2] = [("loop", Ipv4Addr::new(127, 0, 0, 20)), ("grow", Ipv4Addr::new(127, 0, 0, 21))];
/// Connections per attacker; `pods.max_connections_per_pod` would allow 64.
const ATTACKERS: usize = 8;
const CONNECTIONS: usize = 8;
/// 1,000 requests a second in all: far more than a node's pods send.
const EVERY: Duration = Duration::from_millis(8);
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
const DECISIONS: usize = 200;

fn main() -> Result<()> {
    let (serving, client) = (runtime("gateway")?, runtime("client")?);
    let bench = serving.block_on(Attacked::start())?;
    let victim = client.block_on(Caller::introduced(POD_ADDRESS, bench.address))?;
    let mut load = Load::of(&vec![victim.clone(); CONNECTIONS], Flow::KeepAlive);
    let (mut served, mut decided) = (Pair::new()?, Pair::new()?);
    for _ in 0..ROUNDS {
        served.quiet.add(client.block_on(load.paced(EVERY, ROUND))?)?;
        decided.quiet.add(serving.block_on(bench.decisions())?)?;
        let mut attack = {
            let _on = client.enter();
            attack(&victim)?
        };
        served.attacked.add(client.block_on(load.paced(EVERY, ROUND))?)?;
        decided.attacked.add(serving.block_on(bench.decisions())?)?;
        for attacker in &mut attack {
            // An attacker that ended by itself did not attack.
            if let Some(ended) = attacker.try_join_next() {
                bail!("an attacker gave up: {ended:?}");
            }
        }
        drop(attack);
        // Decisions that the attackers left in flight end within the plugin's timeout.
        std::thread::sleep(Duration::from_millis(700));
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "2 hostile pods with {ATTACKERS} connections each: a plugin loops for ever on one, takes all memory on the other"
    )?;
    served.report(&mut out, "another pod, served (1,000 requests/s)")?;
    decided.report(&mut out, "another pod, decided for the first time")?;
    bench.stop.cancel();
    serving.block_on(bench.serving).context("the gateway ended badly")
}

/// Attacks in the entered runtime until dropped.
fn attack(victim: &Caller) -> Result<Vec<JoinSet<Result<()>>>> {
    let attackers = ATTACKS.iter().map(|(_, from)| Ok(hammer(&victim.unmet_at(*from)?, ATTACKERS)));
    attackers.collect()
}

struct Attacked {
    gateway: Arc<Gateway>,
    pod: Arc<Workload>,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    _component: tempfile::NamedTempFile,
}

impl Attacked {
    async fn start() -> Result<Self> {
        let mut component = tempfile::NamedTempFile::new()?;
        component.write_all(HOSTILE)?;
        let plugin = config::Plugin {
            name: "hostile".to_owned(),
            code: PluginCode::File { path: component.path().to_owned(), sha256: None },
            mode: Mode::Enforce,
            timeout: Duration::from_millis(50),
            memory: 16 << 20,
            clock: false,
            cache: Duration::from_secs(60),
            config: json!({ "script": SCRIPT }),
        };
        let pod = listed()?;
        let attackers = ATTACKS.map(|(attack, address)| {
            let script = json!({ "on": "authorize", "do": attack }).to_string();
            sibling(&pod, &format!("{attack}-0"), address, (SCRIPT, &script))
        });
        let node = Node::beside(vec![plugin], attackers.into()).await?;
        let (gateway, pod, address) =
            (Arc::clone(node.gateway()), Arc::clone(&node.entry.workload), node.origin.connected_to);
        let stop = CancellationToken::new();
        let serving = tokio::spawn(node.into_app().run(stop.clone()));
        Ok(Self { gateway, pod, address, stop, serving, _component: component })
    }

    /// Times the decisions of pods that are new each time, one after the other.
    async fn decisions(&self) -> Result<Histogram<u64>> {
        let mut took = histogram()?;
        for _ in 0..DECISIONS {
            let pod = Entry::from(undecided(&self.pod));
            let began = Instant::now();
            let decision = self.gateway.policy.explain(pod.principal(), None).await;
            took.saturating_record(u64::try_from(began.elapsed().as_nanos())?);
            if let Some(why) = decision.outcome.rejection() {
                return Err(anyhow!("the pod was refused: {why:?}"));
            }
        }
        Ok(took)
    }
}

struct Pair {
    quiet: Histogram<u64>,
    attacked: Histogram<u64>,
}

impl Pair {
    fn new() -> Result<Self> {
        Ok(Self { quiet: histogram()?, attacked: histogram()? })
    }

    fn report(&self, out: &mut impl Write, what: &str) -> Result<()> {
        writeln!(out, "{what}")?;
        for (name, took) in [("quiet", &self.quiet), ("under attack", &self.attacked)] {
            let [p50, p99] = [0.5, 0.99].map(|share| Duration::from_nanos(took.value_at_quantile(share)));
            writeln!(out, "  {name:<13} p50 {p50:>9.1?}  p99 {p99:>9.1?}")?;
        }
        let [quiet, attacked] = [&self.quiet, &self.attacked].map(|took| took.value_at_quantile(0.99) as f64);
        writeln!(out, "  p99 under attack ÷ quiet  {:.2}", attacked / quiet)?;
        Ok(())
    }
}
