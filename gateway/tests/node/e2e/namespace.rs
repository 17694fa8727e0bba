//! A network namespace: the network of a node, or of a pod.

use std::{
    io::Write as _,
    path::Path,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::process::{Ended, Process};

static MADE: AtomicUsize = AtomicUsize::new(0);

/// Removed when it is dropped, with its interfaces.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new(of: &str) -> Self {
        let name = format!("metagate-e2e-{}-{}-{of}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        run(Command::new("ip").args(["netns", "add", &name]), "");
        let namespace = Self { name };
        // Otherwise duplicate address detection delays the use of a new IPv6 address by a second or two.
        namespace.set(&[("ipv6/conf/default/accept_dad", "0"), ("ipv6/conf/default/dad_transmits", "0")]);
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs lines that `ip` understands.
    pub(crate) fn ip(&self, lines: &str) {
        run(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), lines);
    }

    /// Kernel settings below /proc/sys/net, of which each namespace has its own.
    pub(crate) fn set(&self, settings: &[(&str, &str)]) {
        let lines: String =
            settings.iter().map(|(key, value)| format!("echo {value} >/proc/sys/net/{key}\n")).collect();
        run(Command::new("ip").args(["netns", "exec", &self.name, "sh", "-e"]), &lines);
    }

    pub(crate) fn start(&self, name: &'static str, program: &Path, configure: impl FnOnce(&mut Command)) -> Process {
        // `ip` becomes the program, so that a kill reaches the program.
        Process::start(name, Path::new("ip"), |command| {
            command.args(["netns", "exec", &self.name]).arg(program);
            configure(command);
        })
    }

    pub(crate) async fn run(&self, name: &'static str, program: &Path, configure: impl FnOnce(&mut Command)) -> Ended {
        self.start(name, program, configure).ends().await
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn run(command: &mut Command, stdin: &str) {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}\n{stdin}\n{stderr}");
}
