//! Servers under load, each in a process of its own, which ends when the server is dropped.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use procfs::process::Process;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::bare::Script;

/// A gateway that is not listening by then has failed; on an idle machine it takes tens of milliseconds.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The node name of a gateway on a cluster.
pub const NODE: &str = "node-1";

pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    runs: Runs,
}

/// Whose processor time and memory are the server's.
enum Runs {
    InProcess(Running),
    /// Threads of this process with that name.
    OnThreads(&'static str),
    /// Somebody else started it.
    Elsewhere,
}

/// How often a pod may ask.
#[derive(Clone, Copy, Debug)]
pub enum Often {
    /// No limit, to measure what a gateway can bear.
    AsItLikes,
    /// The default of `pods.max_requests_per_second_per_pod`.
    AsShipped,
}

/// Its folder is removed when it is dropped.
struct Running {
    child: Ended,
    _folder: TempDir,
}

/// The process ends when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // A process that has ended by itself cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One pod that asks as fast as it can, from its own process: like a pod, it shares the machine with the others, but
/// not the threads that measure how they are served.
pub struct Hammer(Ended);

impl Hammer {
    pub fn of_pod(pod: usize, connections: usize, to: SocketAddr) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("hammer").arg(pod.to_string()).arg(connections.to_string()).arg(to.to_string());
        Ok(Self(Ended(command.spawn()?)))
    }

    /// Fails if the hammer has ended by itself.
    pub fn goes_on(&mut self) -> Result<()> {
        match self.0.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the hammering pod gave up: {status}"),
        }
    }
}

/// The address of the pod with this number: 65,536 of them in 127.0.0.0/8, all of which is loopback on Linux.
pub fn address_of(pod: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(pod).unwrap_or(u16::MAX).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

impl Server {
    /// The gateway in `binary` with that many pods, each with its own role and credential, and the time from its start
    /// until it listened.
    pub async fn gateway(binary: &Path, pods: usize, often: Often) -> Result<(Self, Duration)> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("roster.toml"), roster(pods)?)?;
        Self::with_roster(binary, "source = \"fixed\"\nfile = \"roster.toml\"", often, folder).await
    }

    /// The gateway in `binary` on [`NODE`], with the pods of the API server that the kubeconfig leads to.
    pub async fn on_cluster(binary: &Path, kubeconfig: &Path) -> Result<(Self, Duration)> {
        let roster = format!(
            "source = \"kubernetes\"\nnode = \"{NODE}\"\n\n[kubernetes]\nkubeconfig = {:?}",
            kubeconfig.display().to_string()
        );
        Self::with_roster(binary, &roster, Often::AsShipped, tempfile::tempdir()?).await
    }

    async fn with_roster(binary: &Path, roster: &str, often: Often, folder: TempDir) -> Result<(Self, Duration)> {
        let (address, admin) = (free_port().await?, free_port().await?);
        fs::write(folder.path().join("metagate.toml"), configuration(address, admin, roster, often))?;
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(folder.path().join("metagate.toml"));
        // The gateway does not depend on the shell that started it.
        command.env_clear().stdout(Stdio::null());
        let (process, took) = started(command, folder, address).await?;
        Ok((Self { name: "gateway".into(), address, runs: Runs::InProcess(process) }, took))
    }

    /// hyper alone, in a process of this same program.
    pub async fn bare(script: &Script) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let written = folder.path().join("script.json");
        fs::write(&written, serde_json::to_vec(script)?)?;
        let address = free_port().await?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg(&written).arg(address.to_string());
        let (process, _) = started(command, folder, address).await?;
        Ok(Self { name: "bare".into(), address, runs: Runs::InProcess(process) })
    }

    /// A server that somebody else started.
    pub fn running(name: &str, address: SocketAddr) -> Self {
        Self { name: name.into(), address, runs: Runs::Elsewhere }
    }

    /// A server in this process; only its threads have that name, of at most 15 bytes (prctl(2), PR_SET_NAME).
    pub fn on_threads(name: &'static str, address: SocketAddr) -> Self {
        Self { name: name.into(), address, runs: Runs::OnThreads(name) }
    }

    /// Processor time of all its threads so far. None if the server was running already, or the kernel does not report
    /// it.
    pub fn on_processor(&self) -> Option<Duration> {
        let (process, named) = match self.runs {
            Runs::InProcess(_) => (self.process()?, None),
            Runs::OnThreads(name) => (Process::myself().ok()?, Some(name)),
            Runs::Elsewhere => return None,
        };
        let mut nanoseconds = 0;
        // A thread that ended since the list was read is none of the server's workers.
        for task in process.tasks().ok()?.flatten() {
            if named.is_none_or(|name| task.stat().is_ok_and(|stat| stat.comm == name)) {
                nanoseconds += task.schedstat().ok()?.sum_exec_runtime;
            }
        }
        Some(Duration::from_nanos(nanoseconds))
    }

    /// Bytes that it has in memory at this moment.
    pub fn resident(&self) -> Result<u64> {
        let process = self.process().context("the server has no process of its own here")?;
        Ok(process.statm()?.resident * procfs::page_size())
    }

    fn process(&self) -> Option<Process> {
        let Runs::InProcess(running) = &self.runs else { return None };
        Process::new(i32::try_from(running.child.0.id()).ok()?).ok()
    }
}

async fn started(mut command: Command, folder: TempDir, address: SocketAddr) -> Result<(Running, Duration)> {
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut running = Running { child: Ended(child), _folder: folder };
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = running.child.0.try_wait()? {
            bail!("{command:?} ended: {status}");
        }
        if began.elapsed() > STARTED_WITHIN {
            bail!("{command:?} does not listen on {address} after {STARTED_WITHIN:?}");
        }
        sleep(LOOK_EVERY).await;
    }
    Ok((running, began.elapsed()))
}

/// A port that is free at this moment; nothing else on this machine starts meanwhile.
async fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?)
}

fn configuration(pods: SocketAddr, admin: SocketAddr, roster: &str, often: Often) -> String {
    let rate = match often {
        Often::AsItLikes => "max_requests_per_second_per_pod = 0",
        Often::AsShipped => "",
    };
    format!(
        r#"# A node of the sandbox with a crowd of pods.
[pods]
listen = "{pods}"
max_connections = 4096
{rate}

[admin]
listen = "{admin}"

[roster]
{roster}

[imds]
endpoint = "sandbox"

[credentials]
source = "sandbox"
base_role_arn = "arn:aws:iam::123456789012:role/"
region = "eu-west-1"

[[plugin]]
name = "annotations"
builtin = "annotations"

[[plugin]]
name = "irsa-fallback"
builtin = "irsa-fallback"

[[plugin]]
name = "namespace-regex"
builtin = "namespace-regex"

[telemetry]
log_level = "warn"
"#
    )
}

fn roster(pods: usize) -> Result<String> {
    let mut roster = String::from(
        "[[namespace]]\nname = \"crowd\"\nannotations = { \"iam.amazonaws.com/permitted\" = \".*:role/crowd-.*\" }\n",
    );
    for pod in 0..pods {
        let address = address_of(pod);
        writeln!(
            roster,
            "\n[[workload]]\nnamespace = \"crowd\"\npod = \"pod-{pod}\"\nips = [\"{address}\"]\nservice_account = \"crowd\"\n\
             labels = {{ app = \"crowd\", pod-template-hash = \"6d4cf56db6\" }}\n\
             annotations = {{ \"iam.amazonaws.com/role\" = \"crowd-{pod:05}\" }}"
        )?;
    }
    Ok(roster)
}
