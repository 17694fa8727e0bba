//! A node: its network as an instance in a VPC has it, the instance metadata service, and STS.

use std::path::Path;

use super::{
    namespace::Namespace,
    process::Process,
    programs::{Programs, source},
};

/// The node's own address.
pub(crate) const ADDRESS: &str = "10.0.0.1";
pub(crate) const ADDRESS_6: &str = "fd00:10::1";
pub(crate) const IMDS: &str = "http://169.254.169.254";
pub(crate) const STS: &str = "http://10.0.0.1:5000";
/// Who a pod is to STS if it got the node's credentials.
pub(crate) const NODE_ROLE: &str = "arn:aws:sts::123456789012:assumed-role/node-role/i-0123456789abcdef0";

pub(crate) struct Node {
    // Declared before the namespaces that they run in.
    _imds: Process,
    _sts: Process,
    _vpc: Namespace,
    pub(crate) namespace: Namespace,
}

impl Node {
    pub(crate) async fn start(programs: &Programs) -> Self {
        let (namespace, vpc) = (Namespace::new("node"), Namespace::new("vpc"));
        connect(&namespace, &vpc);
        let sts = start_sts(&namespace, &programs.moto_server).await;
        let imds = start_imds(&vpc, &programs.python).await;
        Self { _imds: imds, _sts: sts, _vpc: vpc, namespace }
    }
}

/// The metadata service is not on the node but behind its default route, so that the node routes a pod's request for
/// it. Pods have addresses of the VPC: the service answers them by way of the node. The VPC rejects the rest of the
/// world at once, or every program that looks a name up would wait for 10 s.
fn connect(node: &Namespace, vpc: &Namespace) {
    for router in [node, vpc] {
        router.set(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
    }
    node.ip(&format!(
        "link add eth0 type veth peer name eth0 netns {}
         link set eth0 up
         addr add {ADDRESS}/24 dev eth0
         addr add {ADDRESS_6}/64 dev eth0 nodad",
        vpc.name
    ));
    vpc.ip(&format!(
        "link set eth0 up
         addr add 10.0.0.254/24 dev eth0
         addr add 169.254.169.254/32 dev eth0
         route add 10.0.0.0/16 via {ADDRESS}
         route add unreachable 0.0.0.0/0
         addr add fd00:10::254/64 dev eth0 nodad
         addr add fd00:ec2::254/128 dev eth0 nodad
         route add fd00:1::/64 via {ADDRESS_6}
         route add unreachable ::/0"
    ));
    node.ip("route add default via 10.0.0.254\nroute add ::/0 via fd00:10::254");
}

/// moto knows every credential that it issued, and whose session it is.
async fn start_sts(namespace: &Namespace, moto_server: &Path) -> Process {
    let mut sts = namespace.start("moto_server", moto_server, |command| {
        command.args(["-H", ADDRESS, "-p", "5000"]).env("PYTHONUNBUFFERED", "1");
    });
    sts.says(|line| line.contains("Running on http://").then_some(())).await;
    sts
}

/// The service gives the node's role to everybody, as IMDS does: a pod that gets past the gateway shows the node's
/// name.
async fn start_imds(vpc: &Namespace, python: &Path) -> Process {
    let mut imds = vpc.start("imds", python, |command| {
        command.arg(source("imds.py")).arg(STS);
    });
    imds.says(|line| (line == "imds listens").then_some(())).await;
    imds
}
