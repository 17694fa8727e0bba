//! What the operator asked for, parsed and checked. Past this module a duration is a duration and a role is a role.

mod check;
mod collector;
mod debug;
mod diagnostic;
mod dns;
mod document;
mod effective;
mod extract;
mod interface;
mod json;
mod key;
mod layers;
mod load;
mod nearest;
mod node_address;
mod origin;
mod public_key;
mod quote;
pub mod raw;
pub(crate) mod redact;
mod sources;
mod units;

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

pub use diagnostic::{Diagnostic, Diagnostics};
pub use effective::Effective;
pub use interface::{Interfaces, NoInterface, Pattern, PatternError};
pub use load::{Loaded, load};
pub use node_address::{AddressError, METADATA_V4, METADATA_V6, NodeAddresses};
pub use origin::Origin;
pub use public_key::{PublicKey, PublicKeyError};
pub use sources::{DEFAULT_FILE, SANDBOX, Sources};

pub(crate) use check::plugins::{MEMORY as PLUGIN_MEMORY, TIMEOUT as PLUGIN_TIMEOUT};
pub(crate) use collector::Collector;
pub(crate) use dns::{is_label, is_subdomain};
pub(crate) use json::{NO_JSON, NO_JSON_HELP, json_of};
pub(crate) use key::Key;
pub(crate) use layers::Layers;
pub(crate) use nearest::{any_of, nearest};
pub(crate) use quote::quote;
pub(crate) use units::{duration, size};

use crate::{
    catalogue::AllowList,
    role::{BaseArn, SessionTemplate},
};

/// Where the redirect's watcher writes its status by default, and where the gateway and `doctor` read it.
pub const INTERCEPT_STATUS_FILE: &str = "/run/metagate-intercept/status.json";
/// The largest `memory` that a plugin may be given; the plugin engine reserves as many bytes of addresses per instance.
pub const PLUGIN_MEMORY_MAX: usize = 64 << 20;
/// The gateway's own name in metrics and refusals, in the place of a plugin's.
pub const POLICY: &str = "policy";

#[derive(Clone, Debug)]
pub struct Config {
    pub pods: Pods,
    pub admin: Admin,
    pub roster: Roster,
    pub kubernetes: Kubernetes,
    pub imds: Imds,
    pub credentials: Credentials,
    pub policy: Policy,
    /// In the order in which they are asked.
    pub plugins: Vec<Plugin>,
    pub plugin_files: PluginFiles,
    pub intercept: Intercept,
    pub telemetry: Telemetry,
}

/// The listener that pods reach.
#[derive(Clone, Debug)]
pub struct Pods {
    pub listen: SocketAddr,
    /// Names, beside the metadata service's own, that a `Host` header may carry.
    pub hosts: Vec<String>,
    pub max_connections: usize,
    pub max_connections_per_pod: usize,
    /// None: no limit.
    pub max_requests_per_second_per_pod: Option<NonZeroU32>,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Admin {
    pub listen: AdminListen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Debug)]
pub struct Roster {
    pub source: RosterSource,
    pub node: String,
    /// How long a request waits for its pod to appear.
    pub wait: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterSource {
    Kubernetes,
    Fixed {
        file: PathBuf,
    },
    /// The sandbox's own sample pods, compiled in.
    Sandbox,
}

/// How the API server is used, if the roster comes from it.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    /// None: KUBECONFIG, `~/.kube/config`, or the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// Whether a refused pod gets a Kubernetes Event.
    pub events: bool,
    /// The key of a taint that is removed from this node once the gateway is ready.
    pub startup_taint: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Imds {
    pub endpoint: ImdsEndpoint,
    pub token: TokenMode,
    /// 32-byte keys in base64, one per line; the first one signs. Created at first start if it does not exist.
    pub token_key_file: Option<PathBuf>,
    /// The entries of the metadata catalogue that pods may read.
    pub allow: AllowList,
    pub cache: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImdsEndpoint {
    /// `http://HOST[:PORT]`, without a path.
    Http(String),
    /// A simulated instance.
    Sandbox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMode {
    /// IMDSv1 is served, and counted.
    Optional,
    /// IMDSv2 only.
    Required,
}

#[derive(Clone)]
pub struct Credentials {
    pub source: CredentialsSource,
    /// The identity that asks STS.
    pub identity: Identity,
    /// None: read from the node's instance profile.
    pub base_role_arn: Option<BaseArn>,
    /// None: read from the node's metadata.
    pub region: Option<String>,
    pub sts_endpoint: Option<String>,
    /// An intermediate role, assumed first.
    pub assume_role_arn: Option<crate::role::RoleArn>,
    pub session_duration: Duration,
    pub session_name: SessionTemplate,
    pub session_tags: bool,
    pub min_remaining: Duration,
    /// How long a request waits for credentials that are not held yet.
    pub wait: Duration,
    pub concurrent_fetches: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsSource {
    Sts,
    /// Sample credentials that no AWS service accepts.
    Sandbox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Environment variables when they are set, then a web identity token when one is named, then the node's role.
    Auto,
    Environment,
    WebIdentity,
    /// The node's role, from `imds.endpoint`.
    Imds,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub mode: Mode,
    /// As written: a name or an ARN.
    pub default_role: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// Decide, count and log, but do not refuse.
    Audit,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Plugin {
    pub name: String,
    pub code: PluginCode,
    pub mode: Mode,
    pub timeout: Duration,
    /// Bytes of linear memory that one instance may grow to.
    pub memory: usize,
    /// Whether the plugin is told the time (`now`).
    pub clock: bool,
    /// How long a decision made with the clock is cached.
    pub cache: Duration,
    /// What the plugin's `init` gets.
    pub config: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginCode {
    Builtin(String),
    File { path: PathBuf, sha256: Option<[u8; 32]> },
}

/// Settings of all plugins that come from files.
#[derive(Clone, Debug, Default)]
pub struct PluginFiles {
    /// If there are any, one of them must have signed each plugin file.
    pub public_keys: Vec<PublicKey>,
    pub compiled: Option<Compiled>,
}

/// Where compiled plugins are cached for the next start.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub folder: PathBuf,
    /// Holds the key that seals them. Created at first start if it does not exist.
    pub key_file: PathBuf,
}

/// What `metagate intercept` puts in place; the running gateway does not read it.
#[derive(Clone, Debug)]
pub struct Intercept {
    pub interfaces: Interfaces,
    pub node_ips: NodeAddresses,
    /// Where the redirect's watcher writes its status, for processes that may not run nft.
    pub status_file: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Telemetry {
    pub log_format: LogFormat,
    /// A `tracing` filter: `info`, or `info,metagate::policy=debug`.
    pub log_level: String,
    /// The cluster's name in exported telemetry; not exported if empty.
    pub cluster: String,
    /// None: no export.
    pub otlp: Option<Otlp>,
}

/// Where metrics, traces and logs are exported to.
#[derive(Clone)]
pub struct Otlp {
    pub endpoint: String,
    pub protocol: OtlpProtocol,
    pub metrics_interval: Duration,
    /// The ratio of pods' requests that are traced, 0 to 1.
    pub trace_ratio: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// OTLP/HTTP in binary protobuf; each signal has its own path below the endpoint.
    Http,
    Grpc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}
