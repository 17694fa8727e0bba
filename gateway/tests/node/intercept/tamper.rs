//! Our own table, changed by others: reported, and repaired.

use super::node::{NODE_V4, Node, SERVICE_V4};

#[test]
fn verify_reports_changes_by_others_and_install_repairs_them() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("eni1");
    node.start_gateway();
    let flags = format!("--node-ip {NODE_V4}");
    for (change, report) in [
        ("nft delete table inet metagate", "there is no table inet metagate"),
        ("nft flush chain inet metagate prerouting", "missing in chain prerouting: ip daddr 169.254.169.254"),
        ("nft flush chain inet metagate forward", "missing in chain forward: ip6 daddr fd00:ec2::254"),
        ("nft insert rule inet metagate prerouting accept", "unexpected in chain prerouting: accept"),
        ("nft add chain inet metagate own", "unexpected: chain own"),
        ("nft add table inet metagate { flags dormant ; }", "the table has flags"),
        ("nft add chain inet metagate forward { policy drop ; }", "chain forward: policy is \"drop\""),
    ] {
        assert_eq!(node.intercept(&format!("install {flags}")).code, 0, "{change}");
        assert!(pod.ask(SERVICE_V4).unwrap().starts_with("gateway"), "{change}");
        node.namespace.run(change);
        let verified = node.intercept(&format!("verify {flags}"));
        assert!(verified.code == 1 && verified.out.contains(report), "{change}: {verified:?}");
    }
    assert_eq!(node.intercept(&format!("install {flags}")).code, 0);
    assert_eq!(node.intercept(&format!("verify {flags}")).code, 0);
}
