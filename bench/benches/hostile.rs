//! What hostile plugins do to other pods: p99 of a pod that is served, and of a pod that is decided for the first time,
//! without and with two pods that ask all the time, on one of which a plugin loops for ever and on the other of which one
//! takes all the memory that it can get.
//!
//! Both are measured in one process, in turn. Ends by itself after about 30 seconds.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use http::Method;
use metagate::{
    config::{self, Mode, PluginCode},
    handle::Gateway,
    workload::Workload,
};
use metagate_bench::{
    Node,
    load::Load,
    node::{CREDENTIAL, POD_ADDRESS, head, listed, sibling, undecided},
    threads::runtime,
};
use metagate_plugin_artifacts::testing::HOSTILE;
use serde_json::json;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The annotation that says what the hostile plugin does to a pod.
const SCRIPT: &str = "bench.metagate/deed";
const ATTACKS: [(&str, Ipv4Addr); 2] = [("loop", Ipv4Addr::new(127, 0, 0, 20)), ("grow", Ipv4Addr::new(127, 0, 0, 21))];
/// Of each attacker; `pods.max_connections_per_pod` would allow 64.
const ATTACKERS: usize = 8;
const CONNECTIONS: usize = 8;
/// 1,000 requests a second in all: far more than a node's pods ask.
const EVERY: Duration = Duration::from_millis(8);
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
const DECISIONS: usize = 200;

fn main() -> Result<()> {
    let (serving, client) = (runtime("gateway")?, runtime("client")?);
    let bench = serving.block_on(Attacked::start())?;
    let mut victim = client.block_on(bench.victim())?;
    let (mut served, mut decided) = (Pair::default(), Pair::default());
    for _ in 0..ROUNDS {
        served.quiet.extend(client.block_on(victim.paced(EVERY, ROUND))?);
        decided.quiet.extend(serving.block_on(bench.decisions())?);
        let attack = bench.attack(&client)?;
        served.attacked.extend(client.block_on(victim.paced(EVERY, ROUND))?);
        decided.attacked.extend(serving.block_on(bench.decisions())?);
        for attacker in attack {
            // One that ended by itself did not attack.
            anyhow::ensure!(!attacker.is_finished(), "an attacker gave up: {:?}", client.block_on(attacker));
            attacker.abort();
        }
        // What they left under way ends within the plugin's timeout.
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

struct Attacked {
    gateway: Arc<Gateway>,
    pod: Arc<Workload>,
    request: http::request::Parts,
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
        let attackers = ATTACKS.map(|(deed, address)| {
            let script = json!({ "on": "authorize", "do": deed }).to_string();
            sibling(&pod, &format!("{deed}-0"), address, (SCRIPT, &script))
        });
        let node = Node::beside(vec![plugin], attackers.into()).await?;
        let (gateway, pod, address) =
            (Arc::clone(node.gateway()), Arc::clone(&node.workload), node.origin.connected_to);
        let (request, stop) = (node.credential_request()?, CancellationToken::new());
        let serving = tokio::spawn(node.into_app().run(stop.clone()));
        Ok(Self { gateway, pod, request, address, stop, serving, _component: component })
    }

    async fn victim(&self) -> Result<Load> {
        Load::connect(POD_ADDRESS, self.address, CONNECTIONS, &self.request).await
    }

    fn attack(&self, client: &Runtime) -> Result<Vec<JoinHandle<Result<()>>>> {
        let request = head(Method::GET, CREDENTIAL, None)?;
        let attackers = ATTACKS.iter().map(|(_, from)| {
            let load = client.block_on(Load::connect(*from, self.address, ATTACKERS, &request))?;
            Ok(client.spawn(load.hammer()))
        });
        attackers.collect()
    }

    /// Of pods that are new each time, one after the other.
    async fn decisions(&self) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        for _ in 0..DECISIONS {
            let pod = Arc::new(undecided(&self.pod));
            let began = Instant::now();
            let decision = self.gateway.policy.explain(&pod, None).await;
            took.push(began.elapsed());
            if let Some(why) = decision.outcome.rejection() {
                return Err(anyhow!("the pod was refused: {why:?}"));
            }
        }
        Ok(took)
    }
}

#[derive(Default)]
struct Pair {
    quiet: Vec<Duration>,
    attacked: Vec<Duration>,
}

impl Pair {
    fn report(&mut self, out: &mut impl Write, what: &str) -> Result<()> {
        writeln!(out, "{what}")?;
        let quiet = quantiles(&mut self.quiet)?;
        let attacked = quantiles(&mut self.attacked)?;
        for (name, [p50, p99]) in [("quiet", quiet), ("under attack", attacked)] {
            writeln!(out, "  {name:<13} p50 {p50:>9.1?}  p99 {p99:>9.1?}")?;
        }
        let ratio = |at: usize| Some(attacked.get(at)?.as_secs_f64() / quiet.get(at)?.as_secs_f64());
        writeln!(out, "  p99 under attack ÷ quiet  {:.2}", ratio(1).context("no quantile")?)?;
        Ok(())
    }
}

/// The median and the 99th percentile.
fn quantiles(took: &mut [Duration]) -> Result<[Duration; 2]> {
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().context("nothing was measured");
    Ok([at(0.5)?, at(0.99)?])
}
