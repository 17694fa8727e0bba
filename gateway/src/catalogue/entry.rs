//! Which metadata paths exist, and what their directories hold.
//!
//! The gateway asks its upstream only for an [`Entry`], and only the catalogue makes one, out of its own names and
//! validated wildcard values: no other byte of a client's request reaches the upstream.

use std::{fmt, sync::Arc};

use super::{
    allow::AllowList,
    table::{Freshness, Kind, Name, Node, ROOT},
    wildcard::Wildcard,
};

/// A readable path below `/latest/`, without leading or trailing slash: `meta-data/placement/region`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    path: Arc<str>,
    freshness: Freshness,
}

pub struct Catalogue;

impl Catalogue {
    /// The leaf at these canonical segments below `/latest/`.
    pub fn find(segments: &[&str]) -> Option<Entry> {
        let (path, kind) = walk(segments)?;
        match kind {
            Kind::Leaf(freshness) => Some(Entry { path: path.into(), freshness: *freshness }),
            Kind::Directory(_) => None,
        }
    }

    /// The names in the directory at these segments that `allow` admits. None if there is no directory, or `allow` can
    /// admit nothing in it. `/latest/` and `meta-data/` always exist.
    pub fn listing(segments: &[&str], allow: &AllowList) -> Option<Listing> {
        let (path, kind) = walk(segments)?;
        let Kind::Directory(nodes) = kind else { return None };
        let mut names = Vec::new();
        for node in *nodes {
            let is_directory = matches!(node.kind, Kind::Directory(_));
            match node.name {
                Name::Each(wildcard) if allow.reaches(&path) => {
                    return Some(Listing::Node(NodeListing { path, wildcard, is_directory }));
                }
                Name::Is(name) if allow.reaches(&below(&path, name)) => {
                    // IMDS writes a slash after the sub-categories of a category, not after the three roots.
                    let slash = if is_directory && !path.is_empty() { "/" } else { "" };
                    names.push(format!("{name}{slash}"));
                }
                _ => {}
            }
        }
        (!names.is_empty() || matches!(path.as_str(), "" | "meta-data")).then_some(Listing::Names(names))
    }

    /// The path of `name`, as the listing of the directory at these segments has it: a public key is listed as `0=NAME`.
    pub fn path_of(directory: &[&str], name: &str) -> String {
        let segment = match walk(directory) {
            Some((_, Kind::Directory([Node { name: Name::Each(wildcard), .. }, ..]))) => wildcard.listed(name),
            _ => None,
        };
        below(&directory.join("/"), segment.unwrap_or_else(|| name.trim_end_matches('/')))
    }
}

/// The names of a directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Listing {
    /// Sorted; sub-categories end with `/`.
    Names(Vec<String>),
    /// The names differ from instance to instance: the node has to be asked.
    Node(NodeListing),
}

/// A directory whose names differ from instance to instance.
#[derive(Debug, PartialEq, Eq)]
pub struct NodeListing {
    path: String,
    wildcard: Wildcard,
    is_directory: bool,
}

impl NodeListing {
    /// The request to the node. The closing slash asks for the directory: no other entry has one.
    pub(crate) fn entry(&self) -> Entry {
        Entry { path: format!("{}/", self.path).into(), freshness: Freshness::Steady }
    }

    /// The names in the node's own listing that can be in this directory and that `allow` admits.
    pub(crate) fn names(&self, body: &[u8], allow: &AllowList) -> Vec<String> {
        let text = String::from_utf8_lossy(body);
        let mut names = Vec::new();
        for line in text.lines() {
            let Some(value) = self.wildcard.listed(line) else { continue };
            if allow.reaches(&below(&self.path, value)) {
                let is_keyed = self.wildcard == Wildcard::PublicKey;
                let slash = if self.is_directory && !is_keyed { "/" } else { "" };
                names.push(format!("{}{slash}", if is_keyed { line } else { value }));
            }
        }
        names
    }
}

impl Entry {
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// For the gateway itself: the node's instance profile. It is not in the catalogue, so no pod can name it.
    pub(crate) fn instance_profile() -> Self {
        Self { path: "meta-data/iam/info".into(), freshness: Freshness::Steady }
    }

    /// For the gateway itself: the node's region.
    pub(crate) fn region() -> Self {
        Self { path: "meta-data/placement/region".into(), freshness: Freshness::Steady }
    }

    /// For the gateway itself: an entry that every instance has.
    pub(crate) fn instance_id() -> Self {
        Self { path: "meta-data/instance-id".into(), freshness: Freshness::Steady }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// Builds the path on the way down, out of the table's own names.
fn walk(segments: &[&str]) -> Option<(String, &'static Kind)> {
    segments.iter().try_fold((String::new(), &ROOT), |(path, kind), segment| {
        let Kind::Directory(nodes) = kind else { return None };
        let node = nodes.iter().find(|node| node.name.admits(segment))?;
        let name = match node.name {
            Name::Is(name) => name,
            Name::Each(_) => segment,
        };
        Some((below(&path, name), &node.kind))
    })
}

pub(super) fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(path: &str) -> Option<Entry> {
        Catalogue::find(&path.split('/').collect::<Vec<_>>())
    }

    /// EC2 User Guide, "Instance metadata categories" and "Dynamic data categories", with placeholders filled in.
    const DOCUMENTED: &str = "ami-id ami-launch-index ami-manifest-path ancestor-ami-ids autoscaling/target-lifecycle-state
        block-device-mapping/ami block-device-mapping/ebs1 block-device-mapping/ephemeral0 block-device-mapping/root
        block-device-mapping/swap elastic-gpus/associations/egpu-0a1b elastic-inference/associations/eia-0a1b
        events/maintenance/history events/maintenance/scheduled events/recommendations/rebalance hostname instance-action
        instance-id instance-life-cycle instance-type ipv6 kernel-id local-hostname local-ipv4 mac metrics/vhostmd
        network/interfaces/macs/MAC/device-number network/interfaces/macs/MAC/interface-id
        network/interfaces/macs/MAC/ipv4-associations/192.0.2.10 network/interfaces/macs/MAC/ipv4-prefix
        network/interfaces/macs/MAC/ipv6-prefix network/interfaces/macs/MAC/ipv6s
        network/interfaces/macs/MAC/local-hostname network/interfaces/macs/MAC/local-ipv4s
        network/interfaces/macs/MAC/mac network/interfaces/macs/MAC/network-card network/interfaces/macs/MAC/owner-id
        network/interfaces/macs/MAC/public-hostname network/interfaces/macs/MAC/public-ipv4s
        network/interfaces/macs/MAC/security-groups network/interfaces/macs/MAC/security-group-ids
        network/interfaces/macs/MAC/subnet-id network/interfaces/macs/MAC/subnet-ipv4-cidr-block
        network/interfaces/macs/MAC/subnet-ipv6-cidr-blocks network/interfaces/macs/MAC/vpc-id
        network/interfaces/macs/MAC/vpc-ipv4-cidr-block network/interfaces/macs/MAC/vpc-ipv4-cidr-blocks
        network/interfaces/macs/MAC/vpc-ipv6-cidr-blocks placement/availability-zone placement/availability-zone-id
        placement/group-id placement/group-name placement/host-id placement/partition-number placement/region
        product-codes public-hostname public-ipv4 public-keys/0/openssh-key ramdisk-id reservation-id security-groups
        services/domain services/partition spot/instance-action spot/termination-time tags/instance/Name
        /dynamic/fws/instance-monitoring /dynamic/instance-identity/document /dynamic/instance-identity/pkcs7
        /dynamic/instance-identity/signature /dynamic/instance-identity/rsa2048 /user-data";

    fn documented() -> impl Iterator<Item = String> {
        DOCUMENTED.split_whitespace().map(|path| {
            let path = path.replace("MAC", "00:00:5e:00:53:01");
            path.strip_prefix('/').map(str::to_owned).unwrap_or(format!("meta-data/{path}"))
        })
    }

    #[test]
    fn what_is_listed_leads_to_its_path() {
        assert_eq!(Catalogue::path_of(&["meta-data", "public-keys"], "0=my key"), "meta-data/public-keys/0");
        assert_eq!(Catalogue::path_of(&["meta-data", "tags", "instance"], "a=b"), "meta-data/tags/instance/a=b");
        assert_eq!(Catalogue::path_of(&["meta-data"], "placement/"), "meta-data/placement");
        assert_eq!(Catalogue::path_of(&[], "meta-data"), "meta-data");
    }

    #[test]
    fn every_documented_path_is_an_entry_and_nothing_below_it_is() {
        for path in documented() {
            assert_eq!(find(&path).unwrap().path(), path);
            assert_eq!(find(&format!("{path}/")), None, "canonical segments have no empty one");
            assert_eq!(find(&format!("{path}/x")), None);
            assert_eq!(find(&path.to_uppercase()), None);
        }
    }

    #[test]
    fn directories_are_no_entries() {
        for path in ["", "meta-data", "meta-data/placement", "meta-data/tags/instance", "dynamic"] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn the_three_roots_are_listed_without_a_slash_and_meta_data_is_there_for_everybody() {
        let nothing = AllowList::parse(&[]).unwrap();
        let list = |path: &[&str], allow: &AllowList| Catalogue::listing(path, allow);
        let roots = ["dynamic", "meta-data"].map(String::from).to_vec();
        assert_eq!(list(&[], &AllowList::default()), Some(Listing::Names(roots)));
        assert_eq!(list(&[], &nothing), Some(Listing::Names(vec![])));
        assert_eq!(list(&["meta-data"], &nothing), Some(Listing::Names(vec![])));
        assert_eq!(list(&["dynamic"], &nothing), None);
        assert_eq!(list(&["meta-data", "instance-id"], &AllowList::default()), None);
    }

    #[test]
    fn the_gateways_own_look_at_the_profile_is_no_entry() {
        assert_eq!(find(Entry::instance_profile().path()), None);
        assert_eq!(find(Entry::region().path()), Some(Entry::region()));
    }

    /// Paths close to what an attacker wants: documented and guarded ones, cut, joined and changed.
    fn a_hostile_path() -> impl Strategy<Value = Vec<String>> {
        let guarded = [
            "meta-data/iam/security-credentials/node",
            "meta-data/iam/info",
            "meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
            "api/token",
        ];
        let known: Vec<String> = documented().chain(guarded.map(str::to_owned)).collect();
        let words: Vec<String> = known.iter().flat_map(|path| path.split('/')).map(str::to_owned).collect();
        let bent =
            ["", ".", "..", "%2e%2e", "iam%2finfo", "iam/info", "iam\\info", "IAM", "iam;x", "iam?", "#", "\0", "*"];
        let word = prop_oneof![
            6 => proptest::sample::select(words),
            2 => proptest::sample::select(bent.to_vec()).prop_map(str::to_owned),
            1 => "\\PC{0,8}",
        ];
        let whole =
            proptest::sample::select(known).prop_map(|path| path.split('/').map(str::to_owned).collect::<Vec<_>>());
        (whole, proptest::collection::vec(word, 0..4), 0usize..8, 0usize..8).prop_map(|(mut whole, words, keep, at)| {
            whole.truncate(keep);
            let at = at.min(whole.len());
            whole.splice(at..at, words);
            whole
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// For every input, an entry is the path that was asked for, needs no encoding in a URL, and is none of the
        /// guarded ones.
        #[test]
        fn no_input_yields_an_entry_of_the_nodes_credentials(asked in a_hostile_path()) {
            let segments: Vec<&str> = asked.iter().map(String::as_str).collect();
            if let Some(entry) = Catalogue::find(&segments) {
                let path = entry.path();
                let whole = asked.join("/");
                prop_assert_eq!(path, whole);
                let parts: Vec<_> = path.split('/').collect();
                prop_assert!(matches!(parts[0], "meta-data" | "dynamic" | "user-data"));
                prop_assert!(!matches!(parts.get(1), Some(&("iam" | "identity-credentials"))));
                prop_assert!(parts.iter().all(|part| !part.is_empty() && *part != "." && *part != ".."));
                prop_assert!(path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:@+=,/".contains(&b)));
            }
        }

        /// Every listed name leads to an admitted entry, or to a directory that lists something.
        #[test]
        fn no_listing_names_what_is_not_admitted(asked in a_hostile_path(), picks in proptest::collection::vec(0usize..60, 0..4)) {
            let all: Vec<String> = documented().collect();
            let written: Vec<String> = picks.iter().map(|pick| all[*pick].clone()).collect();
            let allow = AllowList::parse(&written).unwrap();
            let segments: Vec<&str> = asked.iter().map(String::as_str).collect();
            if let Some(Listing::Names(names)) = Catalogue::listing(&segments, &allow) {
                for name in names {
                    let mut below = segments.clone();
                    below.push(name.strip_suffix('/').unwrap_or(&name));
                    match Catalogue::find(&below) {
                        Some(entry) => prop_assert!(allow.admits(&entry), "{}", entry),
                        None => prop_assert!(Catalogue::listing(&below, &allow).is_some(), "{:?}", below),
                    }
                }
            }
        }
    }
}
