//! The network interfaces that pods' packets come from: `intercept.interfaces`.

use std::{fmt, str::FromStr};

/// IFNAMSIZ is 16 bytes with the closing zero (linux/if.h).
const LONGEST: usize = 15;

/// `eth0`, `eni+` (a prefix, as iptables writes it), or either with `!` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    negated: bool,
    is_prefix: bool,
    name: String,
}

/// Interfaces that a pattern matches, without those that a pattern with `!` matches. If every pattern is an exclusion, all
/// other interfaces match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interfaces(Vec<Pattern>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("names no interface")]
    Empty,
    #[error("is longer than the {LONGEST} bytes that an interface's name can have")]
    TooLong,
    #[error("contains {0:?}, which an interface's name cannot have here")]
    Character(char),
    #[error("matches every interface, and so the node's own loopback too")]
    Everything,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoInterface {
    #[error("no interface is named, so nothing would be redirected")]
    Empty,
    #[error("\"{0}\" is excluded by \"{1}\"")]
    Excluded(Pattern, Pattern),
}

impl Pattern {
    fn matches(&self, interface: &str) -> bool {
        if self.is_prefix { interface.starts_with(&self.name) } else { interface == self.name }
    }

    /// Whether everything that `other` matches is matched by this one too.
    fn covers(&self, other: &Self) -> bool {
        if self.is_prefix { other.name.starts_with(&self.name) } else { !other.is_prefix && self.name == other.name }
    }

    /// With `*` for any further characters, as nft and shells write it: `eni*`.
    pub(crate) fn glob(&self) -> String {
        format!("{}{}", self.name, if self.is_prefix { "*" } else { "" })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(written: &str) -> Result<Self, PatternError> {
        let (negated, rest) = written.strip_prefix('!').map_or((false, written), |rest| (true, rest));
        if rest.len() > LONGEST {
            return Err(PatternError::TooLong);
        }
        let (is_prefix, name) = rest.strip_suffix('+').map_or((false, rest), |name| (true, name));
        // The kernel forbids blanks, "/" and ":"; "*", quotes and "\" mean something to nft; "," parts patterns in a flag.
        let strange = |c: &char| !c.is_ascii_graphic() || matches!(c, '/' | ':' | '*' | '"' | '\'' | '\\' | ',' | '!');
        match name.chars().find(strange) {
            Some(strange) => Err(PatternError::Character(strange)),
            None if name.is_empty() && is_prefix => Err(PatternError::Everything),
            // "." and ".." would be folders in /sys/class/net, and the kernel takes neither.
            None if name.is_empty() || (!is_prefix && matches!(name, "." | "..")) => Err(PatternError::Empty),
            None => Ok(Self { negated, is_prefix, name: name.to_owned() }),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (not, plus) = (if self.negated { "!" } else { "" }, if self.is_prefix { "+" } else { "" });
        write!(f, "{not}{}{plus}", self.name)
    }
}

impl Interfaces {
    pub fn of(patterns: Vec<Pattern>) -> Result<Self, NoInterface> {
        let mut kept: Vec<Pattern> = Vec::new();
        for pattern in patterns {
            if !kept.contains(&pattern) {
                kept.push(pattern);
            }
        }
        if kept.is_empty() {
            return Err(NoInterface::Empty);
        }
        let interfaces = Self(kept);
        for named in interfaces.named() {
            if let Some(excluded) = interfaces.excluded().find(|excluded| excluded.covers(named)) {
                return Err(NoInterface::Excluded(named.clone(), excluded.clone()));
            }
        }
        Ok(interfaces)
    }

    pub fn contains(&self, interface: &str) -> bool {
        let named = self.named().next().is_none() || self.named().any(|pattern| pattern.matches(interface));
        named && !self.excluded().any(|pattern| pattern.matches(interface))
    }

    /// Full names that are not among `existing`: a typing error, or an interface that is added later.
    pub fn absent<'a>(&'a self, existing: &[String]) -> Vec<&'a str> {
        let exact = self.0.iter().filter(|pattern| !pattern.is_prefix).map(|pattern| pattern.name.as_str());
        exact.filter(|name| !existing.iter().any(|interface| interface == name)).collect()
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter().filter(|pattern| !pattern.negated)
    }

    pub(crate) fn excluded(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter().filter(|pattern| pattern.negated)
    }
}

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interfaces(patterns: &[&str]) -> Interfaces {
        Interfaces::of(patterns.iter().map(|written| written.parse().unwrap()).collect()).unwrap()
    }

    #[test]
    fn positive_patterns_are_a_union_and_negative_ones_are_taken_from_the_rest() {
        let pods = interfaces(&["eni+", "vlan+", "!eni0"]);
        for (interface, within) in [("eni12", true), ("vlan.eth.1", true), ("eni0", false), ("eth0", false)] {
            assert_eq!(pods.contains(interface), within, "{interface}");
        }
        let others = interfaces(&["!lo", "!eth+"]);
        for (interface, within) in [("cali0", true), ("lo", false), ("eth1", false), ("lo0", true)] {
            assert_eq!(others.contains(interface), within, "{interface}");
        }
    }

    #[test]
    fn what_is_no_interface_name_is_refused() {
        use PatternError::*;
        for (written, error) in [
            ("", Empty),
            ("!", Empty),
            ("..", Empty),
            ("+", Everything),
            ("!+", Everything),
            ("abcdefghijklmno+", TooLong),
            ("eth 0", Character(' ')),
            ("a/b", Character('/')),
            ("a\"b", Character('"')),
            ("eni*", Character('*')),
            ("!!lo", Character('!')),
            ("a\nb", Character('\n')),
            ("ethé", Character('é')),
        ] {
            assert_eq!(written.parse::<Pattern>(), Err(error), "{written}");
        }
        assert!("abcdefghijklmno".parse::<Pattern>().is_ok());
    }

    #[test]
    fn patterns_that_leave_nothing_are_refused() {
        let of = |patterns: &[&str]| Interfaces::of(patterns.iter().map(|written| written.parse().unwrap()).collect());
        assert_eq!(of(&[]), Err(NoInterface::Empty));
        for patterns in [&["eth0", "!eth0"], &["eni+", "!en+"], &["eth0", "!eth+"]] {
            assert!(matches!(of(patterns), Err(NoInterface::Excluded(..))), "{patterns:?}");
        }
        assert!(of(&["eth+", "!eth0"]).is_ok());
    }

    #[test]
    fn only_exact_names_can_be_absent() {
        let existing = ["lo".to_owned(), "eth0".to_owned()];
        assert_eq!(interfaces(&["!lo", "!eth9", "!cali+"]).absent(&existing), ["eth9"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(written in any::<String>()) {
            if let Ok(pattern) = written.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), written);
            }
        }

        /// The slow obvious model: every pattern spelled out as the names that it has among all short ones.
        #[test]
        fn interfaces_are_those_of_a_slow_matcher(
            patterns in proptest::collection::vec("!?[ab]{1,2}\\+?", 1..5), interface in "[ab]{1,3}",
        ) {
            let parsed = patterns.iter().map(|written| written.parse().unwrap()).collect();
            let Ok(interfaces) = Interfaces::of(parsed) else { return Ok(()) };
            let names = |written: &str| {
                let all = ["a", "b"].iter().flat_map(|a| ["", "a", "b"].iter().flat_map(move |b| {
                    ["", "a", "b"].iter().map(move |c| format!("{a}{b}{c}"))
                }));
                let wanted = written.trim_start_matches('!').to_owned();
                all.filter(|name| match wanted.strip_suffix('+') {
                    Some(start) => name.get(..start.len()) == Some(start),
                    None => *name == wanted,
                }).collect::<Vec<_>>()
            };
            let (not, yes): (Vec<_>, Vec<_>) = patterns.iter().partition(|written| written.starts_with('!'));
            let in_any = |of: &[&String]| of.iter().any(|written| names(written).contains(&interface));
            prop_assert_eq!(interfaces.contains(&interface), (yes.is_empty() || in_any(&yes)) && !in_any(&not));
        }
    }
}
