//! Other programs' rules: named, and left as they are.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::node::{Ended, NODE_V4, NODE_V6, Node, SERVICE_V4};

/// What kube2iam and kiam append.
const PEERS_RULE: &str =
    "-t nat -A PREROUTING -p tcp -d 169.254.169.254/32 --dport 80 -i eni+ -j DNAT --to-destination 192.168.77.1:3100";

/// Other programs' tables; one of them redirects the service too.
const OTHERS: &str = r#"
table ip cluster {
    set blocked { type ipv4_addr; elements = { 10.1.2.3 } }
    chain services { type nat hook prerouting priority dstnat; policy accept;
        ip daddr 10.96.0.1 tcp dport 443 dnat to 10.0.0.9:6443
        ip daddr 169.254.169.254 tcp dport 80 dnat to 192.168.77.1:3100
    }
}
table inet filter {
    chain forward { type filter hook forward priority filter; policy accept;
        ct state invalid drop
    }
}
"#;

fn apply(node: &Node, script: &str) {
    let mut nft = node.namespace.command(&["nft", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success());
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("METAGATE_E2E").is_none(), "METAGATE_E2E is set, but there is no {program}");
        let _ = writeln!(std::io::stderr(), "SKIPPED, as there is no {program}: install the package iptables");
    }
    found
}

#[test]
fn a_rule_of_kube2iam_or_kiam_is_named_and_left_and_goes_after_ours() {
    for iptables in ["iptables-nft", "iptables-legacy"] {
        let Some(node) = Node::start() else { return };
        if !has(iptables) {
            continue;
        }
        let pod = node.pod("eni1");
        node.start_gateway();
        node.namespace.run(&format!("{iptables} {PEERS_RULE}"));
        let saved = || node.namespace.run(&format!("{iptables}-save -t nat"));
        let rules = |saved: String| saved.lines().filter(|line| line.starts_with("-A")).map(String::from).collect();
        let before: Vec<String> = rules(saved());
        let ended = node.intercept(&format!("install --node-ip {NODE_V4},{NODE_V6}"));
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.err.contains("looks like kube2iam or kiam"), "{iptables}: {ended:?}");
        assert!(pod.ask(SERVICE_V4).unwrap().starts_with("gateway"), "{iptables}");
        assert_eq!(rules(saved()), before);
        // The command that the message names does remove it.
        let (_, remove) = ended.err.split_once("once its owner is gone: ").unwrap();
        node.namespace.run(remove.trim());
        let verified = node.intercept(&format!("verify --node-ip {NODE_V4},{NODE_V6}"));
        assert!(verified.code == 0 && !verified.out.contains("kube2iam"), "{iptables}: {verified:?}");
    }
}

#[test]
fn uninstalling_leaves_every_other_table_byte_for_byte() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    apply(&node, OTHERS);
    let before = node.rules();
    node.install();
    let verified = node.intercept(&format!("verify --node-ip {NODE_V4},{NODE_V6} --output json"));
    let finding: serde_json::Value = serde_json::from_str(&verified.out).unwrap();
    let foreign = finding["foreign_rules"].as_array().unwrap();
    assert_eq!(foreign.len(), 1, "{finding}");
    assert_eq!((&foreign[0]["owner"], &foreign[0]["goes_first"]), (&"another program".into(), &false.into()));
    assert!(foreign[0]["rule"].as_str().unwrap().ends_with("dnat to 192.168.77.1:3100"), "{finding}");
    let ended = node.intercept("uninstall");
    assert!(ended.code == 0 && ended.out.starts_with("removed"), "{ended:?}");
    assert_eq!(node.rules(), before);
    node.namespace.run("nft delete table ip cluster");
    assert!(pod.ask(SERVICE_V4).unwrap().starts_with("imds"), "the redirect is gone");
    let again = node.intercept("uninstall");
    assert!(again.code == 0 && again.out.starts_with("nothing to remove"), "{again:?}");
}

#[test]
fn a_rule_that_goes_before_ours_is_reported_as_such() {
    let Some(node) = Node::start() else { return };
    apply(&node, &OTHERS.replace("priority dstnat", "priority -150"));
    let ended = node.intercept(&format!("install --node-ip {NODE_V4}"));
    assert!(ended.code == 0 && ended.err.contains("it goes before ours"), "{ended:?}");
}

/// An nft that cannot list other programs' rules, as if it were older than they are.
const OLD_NFT: &str = r#"#!/bin/sh
case "$*" in
    *"list chains"*) echo "cannot list" >&2; exit 1 ;;
esac
exec NFT "$@"
"#;

#[test]
fn unknown_rules_of_others_do_not_prevent_the_redirect() {
    let Some(node) = Node::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|path| path.join("nft"))
        .find(|path| path.exists())
        .unwrap();
    let wrapper = folder.path().join("nft");
    std::fs::write(&wrapper, OLD_NFT.replace("NFT", real.to_str().unwrap())).unwrap();
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for command in ["install", "verify"] {
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = node.command(&format!("{command} --node-ip {NODE_V4},{NODE_V6}"));
        let ended = Ended::of(command.env("PATH", path).output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
        let printed = format!("{}{}", ended.out, ended.err);
        assert!(printed.contains("other programs' rules are not known"), "{ended:?}");
    }
}
