//! Turns the raw configuration into the checked one, and nothing else does. All errors are found in one pass: after a wrong
//! value the others are checked all the same.

mod address;
mod credentials;
mod endpoint;
mod intercept;
mod kubernetes;
mod plugin_files;
pub(super) mod plugins;
mod telemetry;

use std::{
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::{
    Admin, Config, Imds, ImdsEndpoint, Pods, Policy, Roster, RosterSource, TokenMode,
    collector::Collector,
    key::Key,
    nearest::{any_of, nearest},
    quote::quote,
    raw::{self, Raw},
    units::{self, Bounds, bounds},
};
use crate::catalogue::{AllowError, AllowList};

/// The checked configuration, or None and at least one diagnostic. A key that serde refused has its default in `raw`:
/// `collector` adds no diagnostic about a default that nobody wrote.
pub(super) fn check(
    raw: &Raw,
    node_name: Option<&str>,
    folder: &Path,
    collector: &mut Collector<'_>,
) -> Option<Config> {
    Checker { collector, folder }.config(raw, node_name)
}

struct Checker<'a, 'b> {
    collector: &'a mut Collector<'b>,
    folder: &'a Path,
}

/// Each connection takes a file descriptor, and the kernel gives a process 1,048,576 at most (fs.nr_open).
const CONNECTIONS: Bounds<usize> =
    bounds(1..=1_000_000, "each connection takes one file descriptor, and a process can have about a million");
/// One processor core answers a tenth of the maximum.
const REQUESTS: Bounds<usize> = bounds(0..=1_000_000, "0 means no limit; more than a million has no effect either");
const HEADER_TIMEOUT: Bounds<Duration> = bounds(
    Duration::from_millis(100)..=Duration::from_secs(60),
    "SDKs send their headers at once; a slower client only holds a connection",
);
const IDLE_TIMEOUT: Bounds<Duration> = bounds(
    Duration::from_secs(1)..=Duration::from_secs(3600),
    "SDKs send a request every few minutes at most; an idle connection counts against pods.max_connections",
);
const ROSTER_WAIT: Bounds<Duration> = bounds(
    Duration::ZERO..=Duration::from_secs(5),
    "SDKs time out after 1s to 5s, so a longer wait only holds a connection that nobody reads",
);
const IMDS_CACHE: Bounds<Duration> = bounds(
    Duration::ZERO..=Duration::from_secs(3600),
    "some answers change while the instance runs: maintenance events, spot notices",
);

impl Checker<'_, '_> {
    fn config(&mut self, raw: &Raw, node_name: Option<&str>) -> Option<Config> {
        let pods = self.pods(&raw.pods);
        let admin = self.admin(&raw.admin);
        let roster = self.roster(&raw.roster, node_name);
        let kubernetes = self.kubernetes(&raw.kubernetes);
        let imds = self.imds(&raw.imds);
        let credentials = self.credentials(&raw.credentials);
        let policy = self.policy(&raw.policy);
        let plugins = self.plugins(&raw.plugin);
        let plugin_files = self.plugin_files(&raw.plugin_files);
        let intercept = self.intercept(&raw.intercept);
        let telemetry = self.telemetry(&raw.telemetry);
        if let (Some(pods), Some(admin)) = (&pods, &admin) {
            self.refuse_shared_listener(pods.listen, &admin.listen);
        }
        if let (Some(Pods { listen, .. }), Some(Imds { endpoint: ImdsEndpoint::Http(endpoint), .. })) = (&pods, &imds) {
            self.refuse_loop(*listen, endpoint);
        }
        Some(Config {
            pods: pods?,
            admin: admin?,
            roster: roster?,
            kubernetes: kubernetes?,
            imds: imds?,
            credentials: credentials?,
            policy: policy?,
            plugins: plugins?,
            plugin_files: plugin_files?,
            intercept: intercept?,
            telemetry: telemetry?,
        })
    }

    fn pods(&mut self, raw: &raw::Pods) -> Option<Pods> {
        let at = |name| Key::dotted("pods").name(name);
        let listen = self.listener(&at("listen"), &raw.listen);
        let hosts = self.hosts(&at("hosts"), &raw.hosts);
        let max_connections = self.number(&at("max_connections"), raw.max_connections, &CONNECTIONS);
        let per_pod = self.number(&at("max_connections_per_pod"), raw.max_connections_per_pod, &CONNECTIONS);
        let requests_key = at("max_requests_per_second_per_pod");
        let requests = self.number(&requests_key, raw.max_requests_per_second_per_pod, &REQUESTS);
        let header_timeout = self.duration(&at("header_timeout"), &raw.header_timeout, &HEADER_TIMEOUT);
        let idle_timeout = self.duration(&at("idle_timeout"), &raw.idle_timeout, &IDLE_TIMEOUT);
        if let (Some(all), Some(one)) = (max_connections, per_pod)
            && one > all
        {
            self.collector.refuse_pair(
                [&at("max_connections_per_pod"), &at("max_connections")],
                format!("max_connections_per_pod ({one}) is more than max_connections ({all})"),
                "a single pod could then use every connection",
            );
        }
        Some(Pods {
            listen: listen?,
            hosts: hosts?,
            max_connections: max_connections?,
            max_connections_per_pod: per_pod?,
            max_requests_per_second_per_pod: u32::try_from(requests?).ok().and_then(NonZeroU32::new),
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
        })
    }

    fn admin(&mut self, raw: &raw::Admin) -> Option<Admin> {
        Some(Admin { listen: self.admin_listener(&Key::dotted("admin.listen"), &raw.listen)? })
    }

    fn roster(&mut self, raw: &raw::Roster, node_name: Option<&str>) -> Option<Roster> {
        let at = |name| Key::dotted("roster").name(name);
        const SOURCES: [&str; 3] = ["kubernetes", "fixed", "sandbox"];
        let source = match self.choice(&at("source"), &raw.source, SOURCES.map(|name| (name, name))) {
            Some("fixed") if raw.file.is_empty() => {
                self.collector.refuse_pair(
                    [&at("file"), &at("source")],
                    "file is required when source is \"fixed\"",
                    "write the file that holds the [[workload]] tables",
                );
                None
            }
            Some("fixed") => Some(RosterSource::Fixed { file: self.path(&raw.file) }),
            Some("sandbox") => Some(RosterSource::Sandbox),
            Some(_) => Some(RosterSource::Kubernetes),
            None => None,
        };
        let wait = self.duration(&at("wait"), &raw.wait, &ROSTER_WAIT);
        let node = self.node(&at("node"), &raw.node, node_name);
        Some(Roster { source: source?, node: node?, wait: wait? })
    }

    fn imds(&mut self, raw: &raw::Imds) -> Option<Imds> {
        let at = |name| Key::dotted("imds").name(name);
        let endpoint = self.imds_endpoint(&at("endpoint"), &raw.endpoint);
        let modes = [("optional", TokenMode::Optional), ("required", TokenMode::Required)];
        let token = self.choice(&at("token"), &raw.token, modes);
        let cache = self.duration(&at("cache"), &raw.cache, &IMDS_CACHE);
        let allow = self.allow(&at("allow"), &raw.allow);
        Some(Imds {
            endpoint: endpoint?,
            token: token?,
            token_key_file: self.optional_path(&raw.token_key_file),
            allow: allow?,
            cache: cache?,
        })
    }

    fn allow(&mut self, key: &Key, written: &[String]) -> Option<AllowList> {
        let mut refuse =
            |error: &AllowError| self.collector.refuse(&key.index(error.index), error.to_string(), error.kind.help());
        AllowList::parse(written).map_err(|errors| errors.iter().for_each(&mut refuse)).ok()
    }

    fn policy(&mut self, raw: &raw::Policy) -> Option<Policy> {
        let mode = self.mode(&Key::dotted("policy.mode"), &raw.mode);
        let default_role = self.default_role(&Key::dotted("policy.default_role"), &raw.default_role);
        Some(Policy { mode: mode?, default_role: default_role? })
    }
}

/// How values of every section are read.
impl Checker<'_, '_> {
    fn duration(&mut self, key: &Key, written: &str, bounds: &Bounds<Duration>) -> Option<Duration> {
        self.collector.read(key, units::duration(written, bounds))
    }

    fn number(&mut self, key: &Key, written: usize, bounds: &Bounds<usize>) -> Option<usize> {
        self.collector.read(key, units::number(written, bounds))
    }

    /// For types whose error continues the sentence that begins with the text: "is …", "has …", "names …".
    fn parse<T: FromStr<Err: fmt::Display>>(&mut self, key: &Key, written: &str, help: &str) -> Option<T> {
        written.parse().map_err(|error| self.collector.refuse(key, format!("{} {error}", quote(written)), help)).ok()
    }

    fn choice<T: Copy, const N: usize>(&mut self, key: &Key, written: &str, choices: [(&str, T); N]) -> Option<T> {
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == written) {
            return Some(*chosen);
        }
        let names = choices.iter().map(|(name, _)| *name);
        let help = nearest(written, names.clone()).map(|near| format!("did you mean \"{near}\"?"));
        self.collector.refuse(
            key,
            format!("expected {}, found {}", any_of(names), quote(written)),
            help.unwrap_or_default(),
        );
        None
    }

    fn mode(&mut self, key: &Key, written: &str) -> Option<super::Mode> {
        self.choice(key, written, [("enforce", super::Mode::Enforce), ("audit", super::Mode::Audit)])
    }

    /// Relative paths are relative to the configuration's folder, not to the working directory.
    fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    fn optional_path(&self, written: &str) -> Option<PathBuf> {
        (!written.is_empty()).then(|| self.path(written))
    }
}
