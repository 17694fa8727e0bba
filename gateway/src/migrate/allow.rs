//! kiam's `--allow-route-regexp` as entries of `imds.allow`: the expression is tried on every path of the catalogue.

use regex_lite::{Regex, RegexBuilder};

use crate::catalogue::known_names;

/// What an expression admits.
pub(super) struct Admitted {
    /// The largest groups that are admitted as a whole, and single entries.
    pub(super) entries: Vec<String>,
    /// Whether the expression admits `user-data`, which only a person may add to the list.
    pub(super) user_data: bool,
}

/// A compiled expression of this size matches in microseconds; Go has no such limit, but no real route needs more.
const COMPILED_MAX: usize = 1 << 20;

/// None where it is not a valid expression.
pub(super) fn admitted(expression: &str) -> Option<Admitted> {
    let regex = RegexBuilder::new(expression).size_limit(COMPILED_MAX).build().ok()?;
    let names: Vec<Name> = known_names().into_iter().map(Name::new).collect();
    let is_leaf = |name: &&Name| !names.iter().any(|other| other.is_below(name));
    let (shut, open): (Vec<&Name>, Vec<&Name>) = names.iter().filter(is_leaf).partition(|leaf| !leaf.matches(&regex));
    let is_open = |name: &&Name| {
        let holds = |leaf: &&Name| leaf.path == name.path || leaf.is_below(name);
        open.iter().any(holds) && !shut.iter().any(holds)
    };
    let mut entries: Vec<&Name> = Vec::new();
    // A group comes before its entries.
    for name in names.iter().filter(|name| name.path != USER_DATA).filter(is_open) {
        if !entries.iter().any(|group| name.is_below(group)) {
            entries.push(name);
        }
    }
    let user_data = open.iter().any(|leaf| leaf.path == USER_DATA);
    Some(Admitted { entries: entries.into_iter().map(|name| name.written.clone()).collect(), user_data })
}

const USER_DATA: &str = "user-data";

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
    use crate::catalogue::AllowList;

    const NOTHING: [&str; 0] = [];

    fn entries(expression: &str) -> Vec<String> {
        admitted(expression).unwrap().entries
    }

    #[test]
    fn an_expression_becomes_the_groups_that_it_admits() {
        assert_eq!(entries("^$"), NOTHING);
        assert_eq!(entries(".*"), ["dynamic", "meta-data"]);
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
    fn user_data_is_never_among_the_entries() {
        for expression in [".*", "user-data", "^/latest/user-data$"] {
            let admitted = admitted(expression).unwrap();
            assert!(admitted.user_data && !admitted.entries.iter().any(|entry| entry == USER_DATA), "{expression}");
        }
        assert!(!admitted("placement").unwrap().user_data);
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
