//! Every path of the metadata service that may be read through the gateway, in IMDS's own tree.
//!
//! The names are those of the EC2 User Guide, "Instance metadata categories" and "Dynamic data categories", with those
//! that instances list without being documented there (`hibernation`, `profile`, `system`). No configuration and no
//! plugin can add what is absent here: `iam`, `identity-credentials` and `api` hold the node's own credentials and
//! tokens.

use super::wildcard::Wildcard;

pub(super) struct Node {
    pub(super) name: Name,
    pub(super) kind: Kind,
}

pub(super) enum Name {
    Is(&'static str),
    /// The only node of its directory.
    Each(Wildcard),
}

pub(super) enum Kind {
    Leaf(Freshness),
    Directory(&'static [Node]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Freshness {
    /// Set at launch or changed rarely.
    Steady,
    /// A warning with a deadline: a spot instance ends two minutes after it.
    Urgent,
}

impl Name {
    pub(super) fn admits(&self, segment: &str) -> bool {
        match self {
            Self::Is(name) => *name == segment,
            Self::Each(wildcard) => wildcard.admits(segment),
        }
    }
}

/// Below `/latest/`.
pub(super) static ROOT: Kind =
    Kind::Directory(&[directory("dynamic", DYNAMIC), directory("meta-data", META_DATA), leaf("user-data")]);

const META_DATA: &[Node] = &[
    leaf("ami-id"),
    leaf("ami-launch-index"),
    leaf("ami-manifest-path"),
    leaf("ancestor-ami-ids"),
    directory("autoscaling", &[urgent("target-lifecycle-state")]),
    directory("block-device-mapping", &[each(Wildcard::BlockDevice, STEADY)]),
    directory("elastic-gpus", &[directory("associations", &[each(Wildcard::Accelerator, STEADY)])]),
    directory("elastic-inference", &[directory("associations", &[each(Wildcard::Accelerator, STEADY)])]),
    directory(
        "events",
        &[
            directory("maintenance", &[urgent("history"), urgent("scheduled")]),
            directory("recommendations", &[urgent("rebalance")]),
        ],
    ),
    directory("hibernation", &[leaf("configured")]),
    leaf("hostname"),
    urgent("instance-action"),
    leaf("instance-id"),
    leaf("instance-life-cycle"),
    leaf("instance-type"),
    leaf("ipv6"),
    leaf("kernel-id"),
    leaf("local-hostname"),
    leaf("local-ipv4"),
    leaf("mac"),
    directory("metrics", &[leaf("vhostmd")]),
    directory("network", &[directory("interfaces", &[directory("macs", &[each(Wildcard::Mac, INTERFACE)])])]),
    directory(
        "placement",
        &[
            leaf("availability-zone"),
            leaf("availability-zone-id"),
            leaf("group-id"),
            leaf("group-name"),
            leaf("host-id"),
            leaf("partition-number"),
            leaf("region"),
        ],
    ),
    leaf("product-codes"),
    leaf("profile"),
    leaf("public-hostname"),
    leaf("public-ipv4"),
    directory("public-keys", &[each(Wildcard::PublicKey, Kind::Directory(&[leaf("openssh-key")]))]),
    leaf("ramdisk-id"),
    leaf("reservation-id"),
    leaf("security-groups"),
    directory("services", &[leaf("domain"), leaf("partition")]),
    directory("spot", &[urgent("instance-action"), urgent("termination-time")]),
    leaf("system"),
    directory("tags", &[directory("instance", &[each(Wildcard::TagKey, STEADY)])]),
];

const INTERFACE: Kind = Kind::Directory(&[
    leaf("device-number"),
    leaf("interface-id"),
    directory("ipv4-associations", &[each(Wildcard::PublicIpv4, STEADY)]),
    leaf("ipv4-prefix"),
    leaf("ipv6-prefix"),
    leaf("ipv6s"),
    leaf("local-hostname"),
    leaf("local-ipv4s"),
    leaf("mac"),
    leaf("network-card"),
    leaf("network-card-index"),
    leaf("owner-id"),
    leaf("public-hostname"),
    leaf("public-ipv4s"),
    leaf("security-group-ids"),
    leaf("security-groups"),
    leaf("subnet-id"),
    leaf("subnet-ipv4-cidr-block"),
    leaf("subnet-ipv6-cidr-blocks"),
    leaf("vpc-id"),
    leaf("vpc-ipv4-cidr-block"),
    leaf("vpc-ipv4-cidr-blocks"),
    leaf("vpc-ipv6-cidr-blocks"),
]);

const DYNAMIC: &[Node] = &[
    directory("fws", &[leaf("instance-monitoring")]),
    directory(
        "instance-identity",
        &[leaf("document"), leaf("dsa2048"), leaf("pkcs7"), leaf("rsa2048"), leaf("signature")],
    ),
];

const STEADY: Kind = Kind::Leaf(Freshness::Steady);

const fn leaf(name: &'static str) -> Node {
    Node { name: Name::Is(name), kind: STEADY }
}

const fn urgent(name: &'static str) -> Node {
    Node { name: Name::Is(name), kind: Kind::Leaf(Freshness::Urgent) }
}

const fn directory(name: &'static str, nodes: &'static [Node]) -> Node {
    Node { name: Name::Is(name), kind: Kind::Directory(nodes) }
}

const fn each(wildcard: Wildcard, kind: Kind) -> Node {
    Node { name: Name::Each(wildcard), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(nodes: &[Node]) {
        let names: Vec<_> =
            nodes.iter().filter_map(|n| if let Name::Is(name) = n.name { Some(name) } else { None }).collect();
        assert!(names.is_sorted(), "listings are sorted: {names:?}");
        assert!(!nodes.is_empty());
        assert!(names.len() == nodes.len() || nodes.len() == 1, "a wildcard shares its directory with {names:?}");
        for node in nodes {
            if let Kind::Directory(nodes) = node.kind {
                check(nodes);
            }
        }
    }

    #[test]
    fn directories_are_sorted_and_a_wildcard_is_alone() {
        let Kind::Directory(nodes) = ROOT else { panic!("the root is a directory") };
        check(nodes);
    }
}
