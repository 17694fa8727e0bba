//! `imds.allow`: the catalogue entries that pods may read.

use super::{
    names::nearest,
    table::{Kind, Name, Node, ROOT},
};

/// The default of `imds.allow`. Peers that relayed everything leaked user data and signed identity documents; a peer that
/// relayed nothing broke region look-up, CSI drivers and log agents (kube2iam#137, kiam#60). The SDKs for Go and Java look for the
/// region in the identity document. Its signatures, which prove the node to others, are other entries.
pub const DEFAULT: [&str; 4] = ["placement", "instance-id", "instance-type", "dynamic/instance-identity/document"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList {
    patterns: Vec<Pattern>,
}

/// Names a leaf, or a group with everything under it.
type Pattern = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Named(String),
    /// `*`: any one wildcard value.
    Any,
}

/// An entry that cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{written}\" {kind}")]
pub struct AllowError {
    /// Its place in the list, from 0.
    pub index: usize,
    pub written: String,
    pub kind: AllowErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowErrorKind {
    #[error("is not in the metadata catalogue")]
    Misspelt { nearest: String },
    #[error("is not in the metadata catalogue")]
    Unknown,
    #[error("would hand out the node's own credentials, which no setting can do")]
    Credentials,
    #[error("has a * where the catalogue has fixed names")]
    Star,
}

impl AllowErrorKind {
    /// How to mend it.
    pub fn help(&self) -> String {
        match self {
            Self::Misspelt { nearest } => format!("did you mean \"{nearest}\"?"),
            Self::Unknown => {
                "write a category below meta-data/ such as \"placement\", \"user-data\", or one below \"dynamic/\""
                    .into()
            }
            Self::Credentials => "remove it: pods get their own role's credentials under iam/ without it".into(),
            Self::Star => "* stands only for a MAC, an address, a device, a tag or a key".into(),
        }
    }
}

impl AllowList {
    /// Reads entries and groups relative to `meta-data/` (`placement`, `placement/region`,
    /// `network/interfaces/macs/*/vpc-id`), or beginning with `dynamic` or `user-data`. Every wrong entry is reported.
    pub fn parse(written: &[String]) -> Result<Self, Vec<AllowError>> {
        let mut patterns = Vec::new();
        let mut errors = Vec::new();
        for (index, written) in written.iter().enumerate() {
            match parse_pattern(written) {
                Ok(pattern) => patterns.push(pattern),
                Err(kind) => errors.push(AllowError { index, written: written.clone(), kind }),
            }
        }
        if errors.is_empty() { Ok(Self { patterns }) } else { Err(errors) }
    }

    pub fn admits(&self, entry: &super::Entry) -> bool {
        // A leaf has nothing below it, so a pattern that agrees with it names it or a group around it.
        self.reaches(entry.path())
    }

    /// Whether a pattern admits something at or below this path.
    pub(super) fn reaches(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| agrees(pattern, path))
    }
}

impl Default for AllowList {
    fn default() -> Self {
        // Every entry of DEFAULT is in the catalogue, as a test states.
        Self { patterns: DEFAULT.iter().filter_map(|entry| parse_pattern(entry).ok()).collect() }
    }
}

/// Whether the two are equal up to the end of the shorter one.
fn agrees(pattern: &[Part], path: &str) -> bool {
    pattern.iter().zip(path.split('/')).all(|(part, segment)| match part {
        Part::Named(name) => name == segment,
        Part::Any => true,
    })
}

fn parse_pattern(written: &str) -> Result<Pattern, AllowErrorKind> {
    let bare = written.strip_suffix('/').unwrap_or(written);
    let mut segments: Vec<&str> = bare.split('/').collect();
    if !matches!(segments.first(), Some(&("meta-data" | "dynamic" | "user-data"))) {
        segments.insert(0, "meta-data");
    }
    let mut kind = &ROOT;
    let mut pattern = Pattern::new();
    for segment in segments {
        let Some(node) = child(kind, segment) else { return Err(error_kind(bare, segment)) };
        pattern.push(if segment == "*" { Part::Any } else { Part::Named(segment.to_owned()) });
        kind = &node.kind;
    }
    Ok(pattern)
}

fn child(kind: &'static Kind, segment: &str) -> Option<&'static Node> {
    let Kind::Directory(nodes) = kind else { return None };
    nodes.iter().find(|node| match node.name {
        Name::Each(_) if segment == "*" => true,
        _ => node.name.admits(segment),
    })
}

fn error_kind(written: &str, segment: &str) -> AllowErrorKind {
    let is_credentials = |segment: &str| {
        segment == "iam" || segment == "identity-credentials" || segment.starts_with("security-credentials")
    };
    if written.to_ascii_lowercase().split('/').any(is_credentials) {
        AllowErrorKind::Credentials
    } else if segment == "*" {
        AllowErrorKind::Star
    } else {
        nearest(written).map_or(AllowErrorKind::Unknown, |nearest| AllowErrorKind::Misspelt { nearest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::{Catalogue, names::known_names};

    fn parse(written: &[&str]) -> Result<AllowList, Vec<AllowError>> {
        AllowList::parse(&written.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    fn admits(written: &str, path: &str) -> bool {
        let entry = Catalogue::find(&path.split('/').collect::<Vec<_>>()).unwrap();
        parse(&[written]).unwrap().admits(&entry)
    }

    #[test]
    fn the_default_is_what_sdks_ask_for_and_proves_the_node_to_nobody() {
        assert_eq!(AllowList::default(), parse(&DEFAULT).unwrap());
        for (path, admitted) in [
            ("meta-data/placement/region", true),
            ("meta-data/instance-id", true),
            ("meta-data/instance-type", true),
            // Where the SDKs for Go and Java find the region.
            ("dynamic/instance-identity/document", true),
            ("dynamic/instance-identity/dsa2048", false),
            ("dynamic/instance-identity/pkcs7", false),
            ("dynamic/instance-identity/rsa2048", false),
            ("dynamic/instance-identity/signature", false),
            ("user-data", false),
        ] {
            let entry = Catalogue::find(&path.split('/').collect::<Vec<_>>()).unwrap();
            assert_eq!(AllowList::default().admits(&entry), admitted, "{path}");
        }
    }

    #[test]
    fn groups_leaves_and_wildcards_admit_what_they_name() {
        const VPC: &str = "meta-data/network/interfaces/macs/00:00:5e:00:53:01/vpc-id";
        for (written, path, admitted) in [
            ("placement", "meta-data/placement/region", true),
            ("placement/", "meta-data/placement/region", true),
            ("meta-data/placement", "meta-data/placement/region", true),
            ("placement/region", "meta-data/placement/region", true),
            ("placement/region", "meta-data/placement/availability-zone", false),
            ("placement/availability-zone", "meta-data/placement/availability-zone-id", false),
            ("network", VPC, true),
            ("network/interfaces/macs/*/vpc-id", VPC, true),
            ("network/interfaces/macs/*/subnet-id", VPC, false),
            ("network/interfaces/macs/00:00:5e:00:53:01", VPC, true),
            ("network/interfaces/macs/00:00:5e:00:53:02", VPC, false),
            ("tags/instance/Team", "meta-data/tags/instance/Team", true),
            ("tags/instance/Team", "meta-data/tags/instance/Name", false),
            ("meta-data", "meta-data/spot/instance-action", true),
            ("meta-data", "user-data", false),
            ("dynamic/instance-identity/document", "dynamic/instance-identity/document", true),
            ("dynamic/instance-identity/document", "dynamic/instance-identity/signature", false),
            ("user-data", "user-data", true),
        ] {
            assert_eq!(admits(written, path), admitted, "{written} {path}");
        }
    }

    #[test]
    fn the_nodes_credentials_are_refused_with_a_reason_of_their_own() {
        for written in [
            "iam",
            "iam/",
            "iam/info",
            "meta-data/iam/security-credentials",
            "/latest/meta-data/iam/info",
            "IAM/info",
            "identity-credentials",
            "identity-credentials/ec2/info",
            "security-credentials",
        ] {
            let errors = parse(&["placement", written]).unwrap_err();
            assert_eq!(errors.len(), 1);
            assert_eq!((errors[0].index, &errors[0].kind), (1, &AllowErrorKind::Credentials), "{written}");
        }
    }

    #[test]
    fn a_wrong_name_is_refused_with_the_nearest_known_one() {
        for (written, nearest) in [
            ("placment", "placement"),
            ("region", "placement/region"),
            ("placement/regoin", "placement/region"),
            ("instanceid", "instance-id"),
            ("vpc-id", "network/interfaces/macs/*/vpc-id"),
            ("dynamic/instance-identity/documents", "dynamic/instance-identity/document"),
            ("userdata", "user-data"),
        ] {
            let kind = parse(&[written]).unwrap_err().remove(0).kind;
            assert_eq!(kind, AllowErrorKind::Misspelt { nearest: nearest.to_owned() }, "{written}");
        }
        for written in ["", "/", "api/token", "kubernetes", "../iamb"] {
            assert_eq!(parse(&[written]).unwrap_err()[0].kind, AllowErrorKind::Unknown, "{written}");
        }
        for written in ["*", "placement/*", "network/*"] {
            assert_eq!(parse(&[written]).unwrap_err()[0].kind, AllowErrorKind::Star, "{written}");
        }
    }

    #[test]
    fn every_fault_is_reported_and_says_how_to_mend_it() {
        let errors = parse(&["placment", "placement", "iam"]).unwrap_err();
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "\"placment\" is not in the metadata catalogue");
        assert_eq!(errors[0].kind.help(), "did you mean \"placement\"?");
        assert!(texts[1].starts_with("\"iam\" would hand out the node's own credentials"));
        assert_eq!(errors.iter().map(|error| error.index).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn every_known_name_can_be_allowed() {
        let names = known_names();
        assert!(names.len() > 80);
        AllowList::parse(&names).unwrap();
    }

    /// The slow obvious model: some ancestor of the path, or the path, reads like the pattern.
    fn reads_like(pattern: &str, path: &str) -> bool {
        let pattern = match pattern.split('/').next() {
            Some("meta-data" | "dynamic" | "user-data") => pattern.to_owned(),
            _ => format!("meta-data/{pattern}"),
        };
        let segments: Vec<&str> = path.split('/').collect();
        (1..=segments.len()).any(|depth| {
            let stars = 0..1u32 << depth;
            stars.into_iter().any(|stars| {
                let bent = segments[..depth].iter().enumerate();
                let bent: Vec<_> = bent.map(|(i, segment)| if stars >> i & 1 == 1 { "*" } else { segment }).collect();
                bent.join("/") == pattern
            })
        })
    }

    proptest! {
        #[test]
        fn an_entry_is_admitted_exactly_when_it_or_an_ancestor_is_named(
            picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4), path in any::<proptest::sample::Index>()
        ) {
            let names = known_names();
            let written: Vec<String> = picks.iter().map(|pick| pick.get(&names).clone()).collect();
            let sandbox = crate::relay::SandboxInstance::new();
            let paths: Vec<_> = sandbox.paths().collect();
            let path = *path.get(&paths);
            if let Some(entry) = Catalogue::find(&path.split('/').collect::<Vec<_>>()) {
                let admitted = AllowList::parse(&written).unwrap().admits(&entry);
                prop_assert_eq!(admitted, written.iter().any(|written| reads_like(written, path)), "{:?} {}", written, path);
            }
        }
    }
}
