//! The gateway that is measured: the sandbox's configuration and pods, in this process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anyhow::{Context, Result, anyhow, bail};
use http::{Method, request::Parts};
use metagate::roster::Entry;
use metagate::{
    app::{self, App},
    caller::Origin,
    config::{self, AdminListen, Config, Sources},
    handle::Gateway,
    policy::Grant,
    roster::{Feed, Knowledge, fixed},
    session::{Token, Ttl},
    workload::{Uid, Workload},
};
use metagate_load::client::as_sdks_write;

/// A sandbox pod that has its own role and is permitted to use it.
const POD: (&str, &str) = ("payments", "checkout-0");
pub const POD_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/payments-checkout";
pub const TOKEN: &str = "x-aws-ec2-metadata-token";
pub const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// Bound, but not accepting: a bench that wants sockets runs the app. The pod's decision is made and its credential is
/// cached.
pub struct Node {
    app: App,
    pub entry: Arc<Entry>,
    pub grant: Arc<Grant>,
    /// As if the pod had connected.
    pub origin: Origin,
}

impl Node {
    /// Listens on free loopback ports. Reads no environment, so that figures do not depend on the shell.
    pub async fn start() -> Result<Self> {
        Self::beside(Vec::new(), Vec::new()).await
    }

    /// The same with more plugins, asked after the sandbox's, and more pods.
    pub async fn beside(plugins: Vec<config::Plugin>, pods: Vec<Workload>) -> Result<Self> {
        let mut config = config()?;
        config.plugins.extend(plugins);
        Self::of(&config, pods).await
    }

    /// A node with this configuration, and with more pods than the sandbox's.
    pub async fn of(config: &Config, pods: Vec<Workload>) -> Result<Self> {
        let parts = app::Parts { feed: Some(Arc::new(feed(pods)?)), ..app::Parts::default() };
        let app = app::build(config, parts).await?;
        let gateway = app.gateway();
        let entry = gateway.feed.current().named(POD.0, POD.1).cloned();
        let entry = entry.with_context(|| format!("the sandbox has no pod {}/{}", POD.0, POD.1))?;
        let granted = gateway.policy.grant(entry.principal()).await;
        let grant = granted.map_err(|why| anyhow!("the pod has no role: {why:?}"))?.grant;
        gateway.credentials.for_grant(&grant).await?;
        let connected_to = app.pods_addresses()?.first().copied().context("no listener for pods")?;
        let origin = Origin { peer: (POD_ADDRESS, 40_000).into(), connected_to, listener_of: None };
        Ok(Self { entry, grant, origin, app })
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        self.app.gateway()
    }

    /// The pod's session token, with the longest TTL.
    pub fn token(&self) -> Result<String> {
        let Some(ttl) = Ttl::parse(&Ttl::MAX_SECONDS.to_string()) else { bail!("the longest TTL does not parse") };
        let keys = &self.gateway().keys;
        let token = Token::mint(keys, ttl, self.origin.address(), Some(&self.entry.workload.uid), SystemTime::now());
        Ok(token.context("no token was minted")?.as_str().to_owned())
    }

    /// What an SDK sends for its credentials (IMDSv2), with its usual headers.
    pub fn credential_request(&self) -> Result<Parts> {
        head(Method::GET, CREDENTIAL, Some((TOKEN, &self.token()?)))
    }

    pub fn into_app(self) -> App {
        self.app
    }
}

/// The sandbox's configuration, on free loopback ports.
pub fn config() -> Result<Config> {
    let file = (PathBuf::from("sandbox.toml"), config::SANDBOX.to_owned());
    let mut config = config::load(&Sources { file: Some(file), ..Sources::default() })?.config;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.pods.listen = any_port;
    config.admin.listen = AdminListen::Tcp(any_port);
    Ok(config)
}

/// A request's head, as SDKs write it.
pub fn head(method: Method, path: &str, header: Option<(&str, &str)>) -> Result<Parts> {
    Ok(as_sdks_write(method, path, header)?.into_parts().0)
}

/// The same workload without a decision.
pub fn undecided(workload: &Workload) -> Workload {
    Workload {
        namespace: workload.namespace.clone(),
        pod: workload.pod.clone(),
        uid: workload.uid.clone(),
        ips: workload.ips.clone(),
        service_account: workload.service_account.clone(),
        node: workload.node.clone(),
        labels: workload.labels.clone(),
        annotations: workload.annotations.clone(),
        namespace_labels: workload.namespace_labels.clone(),
        namespace_annotations: workload.namespace_annotations.clone(),
        service_account_annotations: workload.service_account_annotations.clone(),
        token_file: workload.token_file.clone(),
        since: workload.since,
        ..Workload::default()
    }
}

/// A pod that the sandbox would give the same role, at another address and with one more annotation.
pub fn sibling(of: &Workload, pod: &str, address: Ipv4Addr, annotation: (&str, &str)) -> Workload {
    let mut sibling = undecided(of);
    sibling.pod = pod.to_owned();
    sibling.uid = Uid::derived(&of.namespace, pod);
    sibling.ips = vec![address.into()];
    sibling.annotations = of.annotations.with([annotation]);
    sibling
}

/// The measured pod, as the sandbox lists it.
pub fn listed() -> Result<Workload> {
    let mut pods = fixed::parse(Path::new("sandbox-roster.toml"), fixed::SANDBOX)?.workloads.into_iter();
    let found = pods.find(|listed| (listed.workload.namespace.as_str(), listed.workload.pod.as_str()) == POD);
    found.map(|listed| listed.workload).context("the sandbox has no such pod")
}

fn feed(more: Vec<Workload>) -> Result<Feed> {
    let listed = fixed::parse(Path::new("sandbox-roster.toml"), fixed::SANDBOX)?;
    let feed = Feed::default();
    let pods = listed.workloads.into_iter().map(|listed| listed.workload).chain(more).collect();
    feed.publish(pods, Knowledge::Complete, SystemTime::now());
    Ok(feed)
}
