//! kiam's `--allow-route-regexp` as entries of `imds.allow`: the expression is tried on every path of the catalogue.

use regex_lite::{Regex, RegexBuilder};

use crate::catalogue::known_names;

/// What an expression admits.
pub(super) struct Admitted {
    /// The largest groups that are admitted as a whole, and single entries.
    pub(super) entries: Vec<String>,
    /// What else it admits, and only a person may add to the list.
    pub(super) withheld: Vec<Withheld>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withheld {
    /// It often holds secrets.
    UserData,
    /// The signatures of the identity document prove the node to others.
    Signatures,
}

impl Withheld {
    const ALL: [Self; 2] = [Self::UserData, Self::Signatures];

    /// As `imds.allow` writes them.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::UserData => &["user-data"],
            Self::Signatures => &[
                "dynamic/instance-identity/dsa2048",
                "dynamic/instance-identity/pkcs7",
                "dynamic/instance-identity/rsa2048",
                "dynamic/instance-identity/signature",
            ],
        }
    }

    /// Whether an expression spells one of them out; `.*` mostly means everything else.
    pub(super) fn is_meant_by(self, expression: &str) -> bool {
        self.names().iter().filter_map(|name| name.rsplit('/').next()).any(|name| expression.contains(name))
    }
}

/// A compiled expression of this size matches in microseconds; Go has no such limit, but no real route needs more.
const COMPILED_MAX: usize = 1 << 20;

/// None where it is not a valid expression.
pub(super) fn admitted(expression: &str) -> Option<Admitted> {
    let regex = RegexBuilder::new(expression).size_limit(COMPILED_MAX).build().ok()?;
    let names: Vec<Name> = known_names().into_iter().map(Name::new).collect();
    let is_leaf = |name: &&Name| !names.iter().any(|other| other.is_below(name));
    let (shut, open): (Vec<&Name>, Vec<&Name>) = names.iter().filter(is_leaf).partition(|leaf| !leaf.matches(&regex));
    let is_withheld = |leaf: &&Name| Withheld::ALL.iter().any(|kind| kind.names().contains(&leaf.path.as_str()));
    let (held, open): (Vec<&Name>, Vec<&Name>) = open.into_iter().partition(is_withheld);
    let shut = [shut, held.clone()].concat();
    let is_open = |name: &&Name| {
        let holds = |leaf: &&Name| leaf.path == name.path || leaf.is_below(name);
        open.iter().any(holds) && !shut.iter().any(holds)
    };
    let mut entries: Vec<&Name> = Vec::new();
    // A group comes before its entries.
    for name in names.iter().filter(is_open) {
        if !entries.iter().any(|group| name.is_below(group)) {
            entries.push(name);
        }
    }
    let is_held = |kind: &Withheld| held.iter().any(|leaf| kind.names().contains(&leaf.path.as_str()));
    Some(Admitted {
        entries: entries.into_iter().map(|name| name.written.clone()).collect(),
        withheld: Withheld::ALL.into_iter().filter(is_held).collect(),
    })
}

struct Name {
    /// As `imds.allow` writes it.
    written: String,
    /// Below `/latest/`.
    path: String,
}

impl Name {
    fn new(written: String) -> Self {
        let is_root = matches!(written.split('/').next(), Some("meta-data" | "dynamic" | "user-data"));
        let path = if is_root { written.clone() } else { format!("meta-data/{written}") };
        Self { written, path }
    }

    fn is_below(&self, group: &Self) -> bool {
        self.path.strip_prefix(&group.path).is_some_and(|rest| rest.starts_with('/'))
    }

    /// kiam searches for the expression anywhere in the decoded path. Some clients end paths with a slash. Where a `*`
    /// stands for a MAC, a sample MAC is tried, as expressions describe what a MAC looks like. Elsewhere an expression
    /// may name one value of many, and must not admit all of them, so the `*` itself is tried.
    fn matches(&self, regex: &Regex) -> bool {
        let path = self.path.replace("/macs/*", "/macs/0a:1b:2c:3d:4e:5f");
        [format!("/latest/{path}"), format!("/latest/{path}/")].iter().any(|path| regex.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::{AllowList, Catalogue};

    const NOTHING: [&str; 0] = [];

    fn entries(expression: &str) -> Vec<String> {
        admitted(expression).unwrap().entries
    }

    #[test]
    fn an_expression_becomes_the_groups_that_it_admits() {
        assert_eq!(entries("^$"), NOTHING);
        assert_eq!(entries(".*"), ["dynamic/fws", "dynamic/instance-identity/document", "meta-data"]);
        assert_eq!(entries("/placement/"), ["placement"]);
        assert_eq!(entries("^/latest/meta-data/placement/region$"), ["placement/region"]);
        assert_eq!(entries("availability-zone/$"), ["placement/availability-zone"]);
        assert_eq!(
            entries("^/latest/(dynamic/instance-identity/document|meta-data/instance-id)$"),
            ["dynamic/instance-identity/document", "instance-id"]
        );
        assert_eq!(entries("macs/.*/vpc-id"), ["network/interfaces/macs/*/vpc-id"]);
        assert_eq!(entries("macs/[0-9a-f:]+/vpc-id"), ["network/interfaces/macs/*/vpc-id"]);
        assert_eq!(entries("tags/instance/Name"), NOTHING);
        assert_eq!(entries("iam/security-credentials"), NOTHING);
        assert!(admitted("(").is_none());
    }

    #[test]
    fn user_data_and_signatures_are_never_among_the_entries() {
        for (expression, withheld) in [
            (".*", &Withheld::ALL[..]),
            ("user-data", &[Withheld::UserData]),
            ("^/latest/user-data$", &[Withheld::UserData]),
            ("/dynamic/", &[Withheld::Signatures]),
            ("instance-identity/pkcs7$", &[Withheld::Signatures]),
            ("instance-identity/document", &[]),
            ("placement", &[]),
        ] {
            let admitted = admitted(expression).unwrap();
            assert_eq!(admitted.withheld, withheld, "{expression}");
            let allow = AllowList::parse(&admitted.entries).unwrap();
            for name in Withheld::ALL.iter().flat_map(|kind| kind.names()) {
                let entry = Catalogue::find(&name.split('/').collect::<Vec<_>>()).unwrap();
                assert!(!allow.admits(&entry), "{expression} admits {name}");
            }
        }
    }

    #[test]
    fn what_an_expression_spells_out_is_meant() {
        assert!(Withheld::UserData.is_meant_by("^/latest/user-data$"));
        assert!(Withheld::Signatures.is_meant_by("instance-identity/(document|pkcs7)"));
        assert!(!Withheld::ALL.iter().any(|kind| kind.is_meant_by(".*")));
    }

    proptest! {
        #[test]
        fn whatever_is_admitted_is_an_allow_list(expression in "\\PC{0,12}|(/|[a-z]{1,9}|\\.\\*|-){0,6}") {
            if let Some(admitted) = admitted(&expression) {
                prop_assert!(AllowList::parse(&admitted.entries).is_ok(), "{:?}", admitted.entries);
            }
        }
    }
}
