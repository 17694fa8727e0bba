//! A whole gateway in this process, on free ports of the loopback.

use std::{
    error::Error,
    io,
    net::IpAddr,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use metagate::{
    app::{self, App, Parts, Reload},
    clock::Clock,
    config::{self, Diagnostics, Sources},
    credential::Source,
    handle::Gateway,
    roster::{Feed, Knowledge, fixed},
    workload::Workload,
};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{Client, FakeImds};

/// Tests share few cores, and a plugin that waits for a core does not hang.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The sandbox's configuration, with changes.
#[derive(Default)]
pub struct Setup {
    overrides: Vec<(String, String)>,
    file: Option<PathBuf>,
    parts: Parts,
}

/// Stops when dropped.
pub struct TestGateway {
    pods: SocketAddr,
    admin: String,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Setup {
    /// A configuration key and its value, as on the command line.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.overrides.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Reads this file instead of the sandbox's configuration, and follows it and its plugins' files. Give its plugins
    /// time: `timeout = "2s"`.
    pub fn file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }

    /// Workloads come only from this feed.
    pub fn feed(mut self, feed: &Arc<Feed>) -> Self {
        self.parts.feed = Some(Arc::clone(feed));
        self
    }

    /// Only this roster file's workloads, forever: the list is complete.
    pub fn roster(self, text: &str) -> Result<Self, Diagnostics> {
        let feed = Arc::new(Feed::default());
        feed.publish(workloads(text)?, Knowledge::Complete, Clock::system().now());
        Ok(self.feed(&feed))
    }

    pub fn source(mut self, source: Arc<dyn Source>) -> Self {
        self.parts.source = Some(source);
        self
    }

    pub fn clock(mut self, clock: Clock) -> Self {
        self.parts.clock = Some(clock);
        self
    }

    pub fn imds(self, imds: &FakeImds) -> Self {
        self.set("imds.endpoint", &imds.endpoint())
    }

    /// Returns once the roster is known, unless a feed was set.
    pub async fn start(self) -> Result<TestGateway, Box<dyn Error + Send + Sync>> {
        let syncs = self.parts.feed.is_none();
        let started = self.start_unsynced().await?;
        let mut changes = started.gateway.feed.changes();
        while syncs && started.gateway.feed.current().synced_at().is_none() {
            changes.changed().await?;
        }
        Ok(started)
    }

    /// Returns as soon as pods are answered.
    pub async fn start_unsynced(self) -> Result<TestGateway, Box<dyn Error + Send + Sync>> {
        let free = ["pods.listen", "admin.listen"].map(|key| (key.to_owned(), "127.0.0.1:0".to_owned()));
        let overrides = free.into_iter().chain(self.overrides).collect();
        let Some(path) = self.file else {
            let file = Some(("sandbox.toml".into(), config::SANDBOX.to_owned()));
            let mut config = config::load(&Sources { file, env: Vec::new(), overrides })?.config;
            for plugin in &mut config.plugins {
                plugin.timeout = PLUGIN_TIMEOUT;
            }
            return Ok(TestGateway::run(app::build(&config, self.parts).await?)?);
        };
        let text = std::fs::read_to_string(&path)?;
        let sources = Sources { file: Some((path, text)), env: Vec::new(), overrides };
        let loaded = config::load(&sources)?;
        let reload = Reload::new(sources, &loaded)?;
        Ok(TestGateway::run(app::build(&loaded.config, self.parts).await?.reloading(reload))?)
    }
}

impl TestGateway {
    fn run(app: App) -> io::Result<Self> {
        let pods = app.pods_addresses()?.into_iter().next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let (admin, gateway) = (app.admin_address(), Arc::clone(app.gateway()));
        let stop = CancellationToken::new();
        let running = tokio::spawn(app.run(stop.clone()));
        Ok(Self { pods, admin, gateway, stop, running })
    }

    /// Where pods are answered.
    pub fn address(&self) -> SocketAddr {
        self.pods
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Connects as the pod at `from`.
    pub async fn connect(&self, from: impl Into<IpAddr>) -> io::Result<Client> {
        Client::connect(from, self.pods).await
    }

    /// Connects to the admin listener, which is on TCP unless it was set otherwise.
    pub async fn admin(&self) -> io::Result<Client> {
        let address = self.admin.strip_prefix("http://").unwrap_or(&self.admin);
        Ok(Client::over(TcpStream::connect(address).await?))
    }

    /// Tells it to stop, as SIGTERM does.
    pub fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Returns once it has stopped.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A gateway that panicked has printed that on stderr.
        let _ = (&mut self.running).await;
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The workloads of a roster file's text.
pub fn workloads(text: &str) -> Result<Vec<Workload>, Diagnostics> {
    let parsed = fixed::parse(Path::new("roster.toml"), text)?;
    Ok(parsed.workloads.into_iter().map(|listed| listed.workload).collect())
}
