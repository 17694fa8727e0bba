//! `--watch` repairs, reports, and may do nothing else.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use metagate::intercept::Status;
use tempfile::TempDir;

use super::node::{NODE_V4, NODE_V6, Node, SERVICE_V4};

/// Far more than a watcher that looks every 100 ms takes, even if the machine is busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// Killed when it is dropped.
struct Watcher {
    child: Child,
    log: Receiver<String>,
    folder: TempDir,
}

impl Watcher {
    fn start(node: &Node, prefix: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let status = folder.path().join("status.json");
        let arguments = format!(
            "install --watch --interval 100ms --status-file {} --node-ip {NODE_V4},{NODE_V6}",
            status.display()
        );
        let program = [prefix, &[env!("CARGO_BIN_EXE_metagate"), "intercept"]].concat();
        let mut command = node.namespace.command(&program);
        command.args(arguments.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (send, log) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, log, folder }
    }

    /// Waits for a line of the log.
    fn says(&self, what: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(what) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("no line has {what} ({error}): {others:?}"),
            }
        }
    }

    /// The next status that is written after now.
    fn status(&self) -> Status {
        let path = self.status_file();
        let identity = |path: &Path| fs::metadata(path).map(|found| std::os::unix::fs::MetadataExt::ino(&found)).ok();
        let before = identity(&path);
        let began = Instant::now();
        while identity(&path) == before {
            assert!(began.elapsed() < DEADLINE, "no status is written");
            thread::sleep(Duration::from_millis(5));
        }
        Status::read(&path).unwrap()
    }

    fn status_file(&self) -> PathBuf {
        self.folder.path().join("status.json")
    }

    /// A mask of /proc/PID/status, of every thread; they must be alike.
    fn of_every_thread(&self, field: &str) -> String {
        let mut values: Vec<String> = Vec::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
            values.push(line.trim().to_owned());
        }
        assert!(values.len() > 1, "it has one thread only");
        values.dedup();
        assert_eq!(values.len(), 1, "{field}: {values:?}");
        values.remove(0)
    }

    fn stop(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watcher_repairs_reports_and_leaves_the_rules_when_it_is_stopped() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    node.start_gateway();
    let watcher = Watcher::start(&node, &[]);
    watcher.says("watching the redirect");
    let rules = node.rules();
    pod.ask(SERVICE_V4).unwrap();
    let status = watcher.status();
    assert!(status.present && status.redirected_connections == 1 && status.error.is_none(), "{status:?}");
    node.namespace.run("nft flush chain inet metagate prerouting");
    let line = watcher.says("is mended");
    assert!(line.contains("missing in chain prerouting"), "{line}");
    assert!(pod.ask(SERVICE_V4).unwrap().starts_with("gateway"));
    node.namespace.run("nft delete table inet metagate");
    watcher.says("is in place again");
    assert!(pod.ask(SERVICE_V4).unwrap().starts_with("gateway"));
    node.namespace.run("nft add table ip nat");
    node.namespace.run("nft add chain ip nat PREROUTING { type nat hook prerouting priority -100 ; }");
    node.namespace
        .run("nft add rule ip nat PREROUTING ip daddr 169.254.169.254 tcp dport 80 dnat to 192.168.77.1:3100");
    watcher.says("left alone");
    assert_eq!(watcher.status().foreign_rules.len(), 1);
    node.namespace.run("nft delete table ip nat");
    assert_eq!(watcher.stop(), Some(0));
    let handles = |rules: String| rules.lines().map(|line| line.split(" # ").next().unwrap().to_owned()).collect();
    let (before, after): (Vec<String>, Vec<String>) = (handles(rules), handles(node.rules()));
    assert_eq!(after, before);
}

/// CAP_NET_ADMIN is capability 12.
const NET_ADMIN: &str = "0000000000001000";

#[test]
fn a_watcher_has_no_privilege_but_to_change_network_rules() {
    let Some(node) = Node::start() else { return };
    let watcher = Watcher::start(&node, &[]);
    watcher.says("watching the redirect");
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
        assert_eq!(watcher.of_every_thread(set), NET_ADMIN, "{set}");
    }
    assert_eq!(watcher.of_every_thread("NoNewPrivs"), "1");
    // With only these, nft still does what it has to.
    node.namespace.run("nft delete table inet metagate");
    watcher.says("is in place again");
}

#[test]
fn a_watcher_in_a_container_with_net_admin_alone_does_its_work() {
    let Some(node) = Node::start() else { return };
    // As Kubernetes starts it: `drop: [ALL]`, `add: [NET_ADMIN]`. The other has more, but not the right to give that
    // up.
    for bounding in ["-all,+net_admin", "-setpcap"] {
        let watcher = Watcher::start(&node, &["setpriv", "--bounding-set", bounding, "--inh-caps", "-all"]);
        watcher.says("watching the redirect");
        for set in ["CapEff", "CapPrm"] {
            assert_eq!(watcher.of_every_thread(set), NET_ADMIN, "{bounding}");
        }
        node.namespace.run("nft delete table inet metagate");
        watcher.says("is in place again");
    }
}
