//! Versions of the plugin interface: the gateway's own, and which others run here.
//!
//! `plugin-sdk/VERSIONS.md` says which change makes which version. wasmtime links functions across compatible versions.

/// The version of the package in `plugin-sdk/wit/policy.wit`.
pub const INTERFACE: &str = "0.1.0";

/// The name of a policy's export, up to its version.
const EXPORT: &str = "metagate:policy/plugin@";

/// The version in an export's name.
pub(super) fn of_export(name: &str) -> Option<&str> {
    name.strip_prefix(EXPORT)
}

/// Whether plugins of this version may run here. If a plugin needs a function from a later version, linking fails.
pub(super) fn runs(version: &str) -> bool {
    line(version) == line(INTERFACE)
}

/// Whether the version is later than the gateway's.
pub(super) fn is_later(version: &str) -> bool {
    numbers(version) > numbers(INTERFACE)
}

/// The numbers that compatible versions share: up to the first that is not zero (SemVer 2.0.0, 4 and 8). A pre-release
/// is compatible only with itself.
pub(super) fn line(version: &str) -> &str {
    if version.contains('-') {
        return version;
    }
    let zeros = version.split('.').take_while(|number| *number == "0").count();
    let end = version.match_indices('.').nth(zeros).map_or(version.len(), |(at, _)| at);
    version.get(..end).unwrap_or(version)
}

fn numbers(version: &str) -> Vec<u64> {
    let numbers = version.split(['-', '+']).next().unwrap_or(version);
    numbers.split('.').map_while(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_line_run_and_others_do_not() {
        for (version, expected) in [
            ("0.1.0", "0.1"),
            ("0.1.999", "0.1"),
            ("0.2.0", "0.2"),
            ("0.10.0", "0.10"),
            ("0.0.3", "0.0.3"),
            ("1.0.0", "1"),
            ("1.4.2+built", "1"),
            ("0.1.0-draft", "0.1.0-draft"),
            ("", ""),
        ] {
            assert_eq!(line(version), expected, "{version}");
            assert_eq!(runs(version), expected == "0.1", "{version}");
        }
    }

    #[test]
    fn a_later_version_is_told_by_its_numbers() {
        for (version, later) in
            [("0.1.0", false), ("0.0.9", false), ("0.1.1", true), ("0.1.10", true), ("0.2.0-draft", true), ("", false)]
        {
            assert_eq!(is_later(version), later, "{version}");
        }
    }

    #[test]
    fn only_a_policy_s_export_tells_a_version() {
        assert_eq!(of_export("metagate:policy/plugin@0.1.0"), Some("0.1.0"));
        assert_eq!(of_export("metagate:policy/host@0.1.0"), None);
        assert_eq!(of_export("greet"), None);
    }
}
