//! A node with pods and a metadata service, each a network namespace of this test's own. What is sent to 169.254.169.254
//! stays in them.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) const NODE_V4: &str = "192.168.77.1";
pub(crate) const NODE_V6: &str = "fd77::1";
pub(crate) const SERVICE_V4: &str = "169.254.169.254:80";
pub(crate) const SERVICE_V6: &str = "[fd00:ec2::254]:80";
/// The hardware address of the node's end of each pod, because no interface has 169.254.1.1 and would answer for it.
const HOST_SIDE: &str = "ee:ee:ee:ee:ee:ee";
/// Far more than a local connection takes; a dropped packet shows as this timeout.
const DEADLINE: Duration = Duration::from_secs(10);

/// Deleted when it is dropped.
pub(crate) struct Namespace(String);

pub(crate) struct Node {
    pub(crate) namespace: Namespace,
    /// Beyond the node's eth0.
    service: Namespace,
}

pub(crate) struct Pod {
    namespace: Namespace,
    pub(crate) v4: IpAddr,
    pub(crate) v6: IpAddr,
}

impl Node {
    /// None if this machine lets no network be made; a panic if METAGATE_E2E says that it must.
    pub(crate) fn start() -> Option<Self> {
        if let Err(reason) = possible() {
            assert!(env::var_os("METAGATE_E2E").is_none(), "METAGATE_E2E is set, but {reason}");
            // Not by eprintln!, whose output the test runner hides when a test succeeds.
            let _ = writeln!(io::stderr(), "SKIPPED, as {reason}: run `make e2e` as root");
            return None;
        }
        let node = Self { namespace: Namespace::new("node"), service: Namespace::new("imds") };
        let (near, far) = (&node.namespace, &node.service);
        near.run(&format!("ip link add eth0 type veth peer name eth0 netns {}", far.0));
        for (namespace, host) in [(near, 1), (far, 2)] {
            namespace.run(&format!("ip addr add 192.168.77.{host}/24 dev eth0"));
            namespace.run(&format!("ip addr add fd77::{host}/64 dev eth0 nodad"));
            namespace.run("ip link set eth0 up");
        }
        near.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        near.run("ip route add 169.254.169.254 via 192.168.77.2");
        near.run("ip route add fd00:ec2::254 via fd77::2");
        far.run("ip addr add 169.254.169.254/32 dev lo");
        far.run("ip addr add fd00:ec2::254/128 dev lo nodad");
        far.run("ip route add default via 192.168.77.1");
        far.run("ip route add default via fd77::1");
        far.serve("[::]:80", "imds");
        Some(node)
    }

    /// Adds a pod. Its interface on the node is made as CNIs of routed pods make it: without an address of its own.
    pub(crate) fn pod(&self, interface: &str) -> Pod {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed) % 200 + 2;
        let (node, pod) = (&self.namespace, Namespace::new("pod"));
        node.run(&format!("ip link add {interface} address {HOST_SIDE} type veth peer name eth0 netns {}", pod.0));
        pod.run(&format!("ip addr add 10.7.0.{number}/32 dev eth0"));
        pod.run(&format!("ip addr add fd07::{number}/128 dev eth0 nodad"));
        pod.run("ip link set eth0 up");
        node.run(&format!("ip addr add fe80::1/64 dev {interface} nodad"));
        node.run(&format!("ip link set {interface} up"));
        node.run(&format!("ip route add 10.7.0.{number} dev {interface}"));
        node.run(&format!("ip route add fd07::{number} dev {interface}"));
        pod.run("ip route add 169.254.1.1 dev eth0 scope link");
        pod.run(&format!("ip neigh add 169.254.1.1 lladdr {HOST_SIDE} dev eth0"));
        pod.run("ip route add default via 169.254.1.1");
        pod.run("ip route add default via fe80::1 dev eth0");
        let address = |text: String| text.parse().unwrap();
        Pod { namespace: pod, v4: address(format!("10.7.0.{number}")), v6: address(format!("fd07::{number}")) }
    }

    /// Gives the metadata service's addresses to the node itself, as a node-local service has them.
    pub(crate) fn serve_metadata_itself(&self) {
        self.namespace.run("ip route del 169.254.169.254");
        self.namespace.run("ip addr add 169.254.169.254/32 dev lo");
        self.namespace.run("ip route del fd00:ec2::254");
        self.namespace.run("ip addr add fd00:ec2::254/128 dev lo nodad");
        self.namespace.serve("[::]:80", "imds");
    }

    /// As on every node with kube-proxy. The kernel knows a connection from its start only if some rule needs that;
    /// otherwise it takes a connection from before the redirect for a new one, which the gateway resets.
    pub(crate) fn track_connections(&self) {
        self.namespace.run("nft add table inet cluster");
        self.namespace.run("nft add chain inet cluster services { type nat hook prerouting priority -100 ; }");
        self.namespace.run("nft add rule inet cluster services ip daddr 10.96.0.1 dnat ip to 10.0.0.9");
        self.namespace.run("nft add chain inet cluster known { type filter hook prerouting priority 0 ; }");
        self.namespace.run("nft add rule inet cluster known ct state established accept");
    }

    /// Plays the gateway's listener.
    pub(crate) fn start_gateway(&self) {
        self.namespace.serve("[::]:8181", "gateway");
    }

    /// `metagate intercept`, on the node.
    pub(crate) fn intercept(&self, arguments: &str) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = self.namespace.command(&[env!("CARGO_BIN_EXE_metagate"), "intercept"]);
        command.args(arguments.split_whitespace());
        command
    }

    pub(crate) fn install(&self) {
        let ended = self.intercept(&format!("install --node-ip {NODE_V4},{NODE_V6}"));
        assert_eq!(ended.code, 0, "{ended:?}");
    }

    /// Everything but counters. The handles are there, because they change when a rule is added again.
    pub(crate) fn rules(&self) -> String {
        self.namespace.run("nft -a -s list ruleset")
    }
}

impl Pod {
    pub(crate) fn ask(&self, service: &str) -> io::Result<String> {
        Connection::open(&self.namespace, service)?.ask()
    }

    pub(crate) fn connect(&self, service: &str) -> Connection {
        Connection::open(&self.namespace, service).unwrap()
    }
}

impl Node {
    pub(crate) fn ask(&self, service: &str) -> io::Result<String> {
        Connection::open(&self.namespace, service)?.ask()
    }
}

/// A connection that is asked more than once.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(from: &Namespace, to: &str) -> io::Result<Self> {
        let to: SocketAddr = to.parse().unwrap();
        let stream = from.within(move || TcpStream::connect_timeout(&to, DEADLINE))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// "NAME sees ADDRESS"
    pub(crate) fn ask(&mut self) -> io::Result<String> {
        self.0.get_mut().write_all(b"who are you?\n")?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Namespace {
    fn new(role: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Self(format!("metagate-{}-{number}-{role}", std::process::id()));
        done(Command::new("ip").args(["netns", "add", &namespace.0]));
        // Nobody else can have these addresses, and duplicate address detection would take seconds.
        namespace.run("sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0");
        namespace.run("ip link set lo up");
        namespace
    }

    /// The output of a program, which must succeed.
    pub(crate) fn run(&self, command: &str) -> String {
        done(&mut self.command(&command.split_whitespace().collect::<Vec<_>>()))
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = program("ip");
        command.args(["netns", "exec", &self.0]).args(words);
        command
    }

    /// Runs `work` in a thread that has entered this namespace; the sockets that it makes stay here.
    fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = Path::new("/run/netns").join(&self.0);
        let moved = thread::spawn(move || {
            let namespace = File::open(&path).unwrap();
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        moved.join().unwrap()
    }

    /// Answers each line with its own name and the peer's address, until this process ends.
    fn serve(&self, listen: &'static str, name: &'static str) {
        let listener = self.within(move || TcpListener::bind(listen)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || answer(stream, name));
            }
        });
    }
}

fn answer(stream: TcpStream, name: &str) -> io::Result<()> {
    let peer = stream.peer_addr()?.ip().to_canonical();
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        lines.get_mut().write_all(format!("{name} sees {peer}\n").as_bytes())?;
        line.clear();
    }
    Ok(())
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Without those variables of this process's environment that Metagate would read.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("METAGATE_") || name == "NODE_NAME" {
            command.env_remove(name);
        }
    }
    command
}

fn done(command: &mut Command) -> String {
    let ended = Ended::of(command.output().unwrap());
    assert_eq!(ended.code, 0, "{command:?}: {ended:?}");
    ended.out
}

fn possible() -> Result<(), String> {
    for (program, arguments) in [("nft", "--version"), ("ip", "-V"), ("sysctl", "--version")] {
        Command::new(program).arg(arguments).output().map_err(|error| format!("there is no {program} ({error})"))?;
    }
    let probe = format!("metagate-{}-{}-probe", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let made = Command::new("ip").args(["netns", "add", &probe]).output().map_err(|error| error.to_string())?;
    if !made.status.success() {
        return Err(format!("no network namespace can be made ({})", String::from_utf8_lossy(&made.stderr).trim()));
    }
    let probe = Namespace(probe);
    let listed = probe.command(&["nft", "list", "ruleset"]).output().map_err(|error| error.to_string())?;
    match listed.status.success() {
        true => Ok(()),
        false => Err(format!("nft lists nothing ({})", String::from_utf8_lossy(&listed.stderr).trim())),
    }
}
