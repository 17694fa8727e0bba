//! The node's redirect, in network namespaces of these tests: who reaches whom before it, with it and after it.
//!
//! Needs root, `ip`, `nft` and `sysctl`; `make e2e` brings them, and sets METAGATE_E2E so that nothing is skipped.

#![cfg(target_os = "linux")]
// clippy.toml's exemptions for tests apply only to code that is marked as a test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod foreign;
mod node;
mod tamper;
mod watch;

use std::io::ErrorKind;

use node::{Ended, NODE_V4, NODE_V6, Node, SERVICE_V4, SERVICE_V6, program};

fn refused(outcome: std::io::Result<String>) -> bool {
    matches!(outcome, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn pods_reach_the_gateway_with_their_own_address_and_the_node_reaches_the_real_service() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    node.start_gateway();
    // Without the redirect: this is why the product exists.
    assert_eq!(pod.ask(SERVICE_V4).unwrap(), format!("imds sees {}", pod.v4));
    assert_eq!(pod.ask(SERVICE_V6).unwrap(), format!("imds sees {}", pod.v6));
    node.install();
    assert_eq!(pod.ask(SERVICE_V4).unwrap(), format!("gateway sees {}", pod.v4));
    assert_eq!(pod.ask(SERVICE_V6).unwrap(), format!("gateway sees {}", pod.v6));
    assert_eq!(node.ask(SERVICE_V4).unwrap(), format!("imds sees {NODE_V4}"));
    assert_eq!(node.ask(SERVICE_V6).unwrap(), format!("imds sees {NODE_V6}"));
}

#[test]
fn the_nodes_own_calls_to_a_service_on_the_node_are_left_alone() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    node.start_gateway();
    node.serve_metadata_itself();
    node.install();
    assert_eq!(node.ask(SERVICE_V4).unwrap(), "imds sees 169.254.169.254");
    assert_eq!(pod.ask(SERVICE_V4).unwrap(), format!("gateway sees {}", pod.v4));
}

#[test]
fn a_connection_from_before_is_cut() {
    for (local, tracked) in [(false, true), (true, true), (false, false)] {
        let Some(node) = Node::start() else { return };
        let pod = node.pod("eni1");
        node.start_gateway();
        if local {
            node.serve_metadata_itself();
        }
        if tracked {
            node.track_connections();
        }
        for (service, address) in [(SERVICE_V4, pod.v4), (SERVICE_V6, pod.v6)] {
            let mut before = pod.connect(service);
            assert_eq!(before.ask().unwrap(), format!("imds sees {address}"));
            node.install();
            let cut = before.ask();
            assert!(
                matches!(&cut, Err(error) if error.kind() == ErrorKind::ConnectionReset),
                "{service}, on the node itself: {local}, tracked: {tracked}: {cut:?}"
            );
            assert_eq!(pod.ask(service).unwrap(), format!("gateway sees {address}"));
            assert_eq!(node.intercept("uninstall").code, 0);
        }
    }
}

#[test]
fn while_the_gateway_is_down_pods_are_refused() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    node.install();
    assert!(refused(pod.ask(SERVICE_V4)) && refused(pod.ask(SERVICE_V6)));
}

#[test]
fn a_family_without_an_address_of_the_node_is_rejected_and_not_let_through() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    node.start_gateway();
    for local in [false, true] {
        for (address, served, rejected) in [(NODE_V4, SERVICE_V4, SERVICE_V6), (NODE_V6, SERVICE_V6, SERVICE_V4)] {
            assert_eq!(node.intercept(&format!("install --node-ip {address}")).code, 0);
            assert!(pod.ask(served).unwrap().starts_with("gateway sees"), "{served}");
            assert!(refused(pod.ask(rejected)), "{rejected}");
        }
        if !local {
            node.serve_metadata_itself();
        }
    }
}

#[test]
fn interfaces_are_redirected_as_their_patterns_say() {
    let Some(node) = Node::start() else { return };
    node.start_gateway();
    let names = ["eni1", "vlan.eth.1", "cali1", "docker0"];
    let pods = names.map(|name| node.pod(name));
    for (patterns, redirected) in [
        ("eni+,vlan+", ["gateway", "gateway", "imds", "imds"]),
        ("!eth0,!lo", ["gateway"; 4]),
        ("!docker+", ["gateway", "gateway", "gateway", "imds"]),
        ("eni+,docker0,!eni1", ["imds", "imds", "imds", "gateway"]),
    ] {
        let install = format!("install --node-ip {NODE_V4},{NODE_V6} --interface {patterns}");
        let ended = node.intercept(&install);
        assert_eq!(ended.code, 0, "{ended:?}");
        for ((name, pod), by) in names.iter().zip(&pods).zip(redirected) {
            for service in [SERVICE_V4, SERVICE_V6] {
                let answer = pod.ask(service).unwrap();
                assert!(answer.starts_with(by), "{patterns}: {name}: {answer}");
            }
        }
        // What nft lists is what was written, for these patterns too.
        let again = node.intercept(&install);
        assert!(again.code == 0 && again.out.starts_with("already in place"), "{again:?}");
    }
}

#[test]
fn an_interface_that_comes_later_is_covered() {
    let Some(node) = Node::start() else { return };
    node.start_gateway();
    let ended = node.intercept(&format!("install --node-ip {NODE_V4} --interface eni+ --interface late0"));
    assert_eq!(ended.code, 0);
    assert!(ended.err.contains("no interface is called late0 now; there are lo, eth0"), "{ended:?}");
    for interface in ["eni7", "late0"] {
        assert!(node.pod(interface).ask(SERVICE_V4).unwrap().starts_with("gateway"), "{interface}");
    }
}

#[test]
fn installing_again_changes_nothing_and_keeps_the_counters() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    node.start_gateway();
    node.install();
    pod.ask(SERVICE_V4).unwrap();
    let rules = node.rules();
    node.install();
    assert_eq!(node.rules(), rules);
    let verified = node.intercept(&format!("verify --node-ip {NODE_V4},{NODE_V6} --output json"));
    let finding: serde_json::Value = serde_json::from_str(&verified.out).unwrap();
    assert_eq!(verified.code, 0);
    assert_eq!((&finding["present"], &finding["redirected_connections"]), (&true.into(), &1.into()), "{finding}");
}

#[test]
fn another_configuration_replaces_the_first() {
    let Some(node) = Node::start() else { return };
    node.start_gateway();
    let pod = node.pod("eni1");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metagate.toml");
    let text = format!("pods.listen = '[::]:9999'\n[intercept]\nnode_ips = ['{NODE_V4}']\n");
    std::fs::write(&file, text).unwrap();
    assert_eq!(node.intercept(&format!("install --config {}", file.display())).code, 0);
    assert!(refused(pod.ask(SERVICE_V4)), "nothing listens on the file's port");
    let ended = node.intercept(&format!("install --config {} --port 8181", file.display()));
    assert!(ended.code == 0 && ended.out.starts_with("mended:") && ended.out.contains(":8181"), "{ended:?}");
    assert!(pod.ask(SERVICE_V4).unwrap().starts_with("gateway"));
}

#[test]
fn a_dry_run_prints_what_would_be_installed_and_changes_nothing() {
    let Some(node) = Node::start() else { return };
    let arguments = format!("--node-ip {NODE_V4},{NODE_V6} --interface eni+,!eni0");
    let dry = node.intercept(&format!("install --dry-run {arguments}"));
    assert_eq!((dry.code, node.rules().as_str()), (0, ""));
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&script, &dry.out).unwrap();
    node.namespace.run(&format!("nft -f {}", script.path().display()));
    assert_eq!(node.intercept(&format!("verify {arguments}")).code, 0);
}

#[test]
fn without_the_right_to_change_rules_it_says_so() {
    let Some(node) = Node::start() else { return };
    for arguments in [&["install", "--node-ip", NODE_V4][..], &["install", "--watch", "--node-ip", NODE_V4]] {
        let mut command =
            node.namespace.command(&["setpriv", "--bounding-set", "-all", env!("CARGO_BIN_EXE_metagate"), "intercept"]);
        let ended = Ended::of(command.args(arguments).output().unwrap());
        assert_eq!(ended.code, 1);
        assert!(ended.err.contains("NET_ADMIN"), "{ended:?}");
    }
    assert_eq!(node.rules(), "");
}

#[test]
fn without_nft_it_says_what_to_install() {
    let empty = tempfile::tempdir().unwrap();
    let mut command = program(env!("CARGO_BIN_EXE_metagate"));
    command.args(["intercept", "verify", "--node-ip", "10.0.0.1"]).env("PATH", empty.path());
    let ended = Ended::of(command.output().unwrap());
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("install the package nftables"), "{ended:?}");
}

#[test]
fn without_an_address_of_the_node_it_says_where_to_get_one() {
    let ended = Ended::of(
        program(env!("CARGO_BIN_EXE_metagate")).args(["intercept", "install", "--dry-run"]).output().unwrap(),
    );
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("--node-ip") && ended.err.contains("status.hostIPs"), "{ended:?}");
}

#[test]
fn wrong_flags_are_refused_as_the_file_would_be() {
    for (flag, value, problem) in [
        ("--interface", "eth 0", "flag intercept.interfaces: intercept.interfaces[0]"),
        ("--interface", "eth0,!eth0", "is excluded by \"!eth0\""),
        ("--node-ip", "127.0.0.1", "flag intercept.node_ips: intercept.node_ips[0]"),
    ] {
        let mut command = program(env!("CARGO_BIN_EXE_metagate"));
        let ended = Ended::of(command.args(["intercept", "install", "--dry-run", flag, value]).output().unwrap());
        assert_eq!(ended.code, 78, "{ended:?}");
        assert!(ended.err.contains(problem), "{ended:?}");
    }
}
