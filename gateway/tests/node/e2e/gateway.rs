//! The gateway under test, on a node, without root and without a capability.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use http::{Method, StatusCode};
use tempfile::TempDir;

use super::{
    namespace::Namespace,
    node,
    pod::NODE,
    process::{Ended, Process},
    socket::send,
    wait::until_equal,
};

pub(crate) const PORT: u16 = 8181;
pub(crate) const STARTUP_TAINT: &str = "metagate.io/agent-not-ready";
/// The user of the image.
pub(crate) const USER: u32 = 8181;

pub(crate) struct Gateway<'a> {
    node: &'a Namespace,
    process: Option<Process>,
    /// Everything that it may read: its configuration, its kubeconfig, its key file, its socket.
    folder: TempDir,
}

impl<'a> Gateway<'a> {
    /// Not started yet.
    pub(crate) fn new(node: &'a Namespace, kubeconfig: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        // That user may not be able to read the build's folder. METAGATE=target/release/metagate measures another
        // build.
        let built = std::env::var_os("METAGATE").unwrap_or_else(|| env!("CARGO_BIN_EXE_metagate").into());
        let binary = path.join("metagate");
        if fs::hard_link(&built, &binary).is_err() {
            fs::copy(&built, &binary).unwrap();
        }
        fs::write(path.join("kubeconfig"), kubeconfig).unwrap();
        fs::write(path.join("metagate.toml"), configuration(path)).unwrap();
        for owned in [path.to_path_buf(), path.join("kubeconfig"), path.join("metagate.toml")] {
            chown(owned, Some(USER), Some(USER)).unwrap();
        }
        Self { node, process: None, folder }
    }

    pub(crate) async fn start(&mut self) {
        self.start_unready();
        until_equal("the gateway's readiness", Some(StatusCode::OK), async || self.ready().await).await;
    }

    pub(crate) fn start_unready(&mut self) {
        let _ = fs::remove_file(self.socket());
        let user = USER.to_string();
        self.process = Some(self.node.start("metagate", Path::new("setpriv"), |command| {
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--no-new-privs"]);
            command.args(["--bounding-set=-all", "--inh-caps=-all"]);
            command.arg(self.binary()).args(["run", "--config"]).arg(self.configuration());
        }));
    }

    /// Changes its configuration, as an editor does, and returns the old text.
    pub(crate) fn configure(&self, change: impl FnOnce(&str) -> String) -> String {
        let before = fs::read_to_string(self.configuration()).unwrap();
        let next = self.folder.path().join("metagate.next");
        fs::write(&next, change(&before)).unwrap();
        chown(&next, Some(USER), Some(USER)).unwrap();
        fs::rename(&next, self.configuration()).unwrap();
        before
    }

    /// `metagate intercept install --watch`, as the chart's container does it.
    pub(crate) fn watch_redirect(&self, status_file: &Path) -> Process {
        self.node.start("intercept-watch", &self.binary(), |command| {
            command.args(["intercept", "install", "--watch", "--interval", "1s", "--status-file"]).arg(status_file);
            command.arg("--config").arg(self.configuration());
        })
    }

    /// The folder with everything that it may read.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it at once, as the kernel kills what takes too much memory. The redirect stays.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// `metagate intercept`, as the node's root.
    pub(crate) async fn intercept(&self, command: &str) -> Ended {
        self.node
            .run("intercept", &self.binary(), |line| {
                line.args(["intercept", command]);
                // What is removed does not depend on the configuration.
                if command != "uninstall" {
                    line.arg("--config").arg(self.configuration());
                }
            })
            .await
    }

    /// `metagate doctor`, where the gateway runs and as its user.
    pub(crate) async fn doctor(&self) -> Ended {
        let user = USER.to_string();
        self.node
            .run("doctor", Path::new("setpriv"), |line| {
                line.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--bounding-set=-all"]);
                line.arg(self.binary()).args(["doctor", "--output", "json", "--config"]).arg(self.configuration());
            })
            .await
    }

    /// The workloads that it reports.
    pub(crate) async fn workloads(&self) -> Vec<serde_json::Value> {
        let state = send(&self.socket(), Method::GET, "/api/v1/state", None).await;
        let state: serde_json::Value =
            serde_json::from_str(&state.map_or("null".to_owned(), |(_, body)| body)).unwrap();
        state["workloads"].as_array().cloned().unwrap_or_default()
    }

    /// Resident memory, as the kernel counts it.
    pub(crate) fn resident_kib(&self) -> u64 {
        let id = self.process.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) async fn ready(&self) -> Option<StatusCode> {
        send(&self.socket(), Method::GET, "/readyz", None).await.map(|(status, _)| status)
    }

    fn binary(&self) -> PathBuf {
        self.folder.path().join("metagate")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("metagate.toml")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }
}

/// What a node needs beside the defaults; the gateway finds out the rest, its account and region too.
fn configuration(folder: &Path) -> String {
    let (folder, sts, address, address_6) = (folder.display(), node::STS, node::ADDRESS, node::ADDRESS_6);
    format!(
        r#"
[pods]
listen = "[::]:{PORT}"
[admin]
listen = "unix:{folder}/admin.sock"
[roster]
source = "kubernetes"
node = "{NODE}"
[kubernetes]
kubeconfig = "{folder}/kubeconfig"
events = true
startup_taint = "{STARTUP_TAINT}"
[imds]
token_key_file = "{folder}/token-keys"
[credentials]
sts_endpoint = "{sts}"
[intercept]
interfaces = ["eni+", "cali+"]
node_ips = ["{address}", "{address_6}"]
"#
    )
}
