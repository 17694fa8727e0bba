use std::error::Error;
use std::fmt;

use regex_lite::{Regex, RegexBuilder, escape};

/// Bounds the states of an expression, and so the steps of a match: states times the text's bytes.
const MAX_COMPILED_BYTES: usize = 64 << 10;
/// The depth of nested parentheses; the parser keeps one stack entry for each.
const MAX_NESTING: u32 = 32;

/// A pattern that matches only whole texts, in time linear in the text.
///
/// This is for patterns from an annotation or a label; [`Glob`](crate::Glob) and [`Regexp`](crate::Regexp) are for
/// patterns from a configuration.
///
/// ```
/// use metagate_plugin_sdk::Pattern;
///
/// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
/// let pattern = Pattern::regexp("pay|pay-.*")?;
/// assert!(pattern.matches("pay") && pattern.matches("pay-web"));
/// assert!(!pattern.matches("payroll") && !pattern.matches("repay"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// A glob: `*` stands for any text, `/` included; every other character for itself.
    ///
    /// # Errors
    /// [`PatternFault::Glob`] if it is too long.
    ///
    /// ```
    /// use metagate_plugin_sdk::Pattern;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// let glob = Pattern::glob("arn:aws:iam::*:role/team-a/*")?;
    /// assert!(glob.matches("arn:aws:iam::123456789012:role/team-a/batch/nightly"));
    /// assert!(!glob.matches("arn:aws:iam::123456789012:role/team-b/web"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn glob(glob: &str) -> Result<Self, PatternFault> {
        let literals: Vec<String> = glob.split('*').map(escape).collect();
        let compiled = compile(&format!("(?s)^{}$", literals.join(".*")));
        // The escaped text is always an expression; only its length can be wrong.
        compiled.map(Self).map_err(|_| PatternFault::Glob)
    }

    /// A regular expression, anchored at both ends, every alternative included. The syntax is that of Rust's
    /// `regex-lite`: no Unicode classes, look-around or back-references.
    ///
    /// # Errors
    /// [`PatternFault::Regexp`] if it is not an expression, too large or nested too deep.
    ///
    /// ```
    /// use metagate_plugin_sdk::Pattern;
    ///
    /// let fault = Pattern::regexp("pay-(web").unwrap_err();
    /// assert_eq!(fault.to_string(), "found open group without closing ')'");
    /// ```
    pub fn regexp(expression: &str) -> Result<Self, PatternFault> {
        Self::regexp_after("", expression)
    }

    /// A literal text, then a regular expression.
    ///
    /// # Errors
    /// Those of [`regexp`](Self::regexp).
    ///
    /// ```
    /// use metagate_plugin_sdk::Pattern;
    ///
    /// # fn main() -> Result<(), metagate_plugin_sdk::PatternFault> {
    /// let pattern = Pattern::regexp_after("arn:aws:iam::123456789012:role/", "web|batch")?;
    /// assert!(pattern.matches("arn:aws:iam::123456789012:role/batch"));
    /// assert!(!pattern.matches("batch"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn regexp_after(literal: &str, expression: &str) -> Result<Self, PatternFault> {
        // First the expression alone: the group around it must not balance its parentheses, as it would in `a)|(?:b`.
        let compiled = compile(expression).and_then(|_| compile(&format!("^{}(?:{expression})$", escape(literal))));
        compiled.map(Self).map_err(|error| PatternFault::Regexp(error.to_string()))
    }

    /// Whether it matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn compile(expression: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(expression).size_limit(MAX_COMPILED_BYTES).nest_limit(MAX_NESTING).build()
}

/// Why a text is not a pattern; `Display` is the part of a sentence after a colon.
///
/// ```
/// use metagate_plugin_sdk::{Pattern, PatternFault};
///
/// assert_eq!(Pattern::glob(&"a".repeat(5000)).unwrap_err(), PatternFault::Glob);
/// assert!(matches!(Pattern::regexp("a**("), Err(PatternFault::Regexp(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternFault {
    /// A glob that is too long: compiled, it exceeds 64 KiB.
    Glob,
    /// Not an expression, or above the bounds: 64 KiB compiled, and 32 nested parentheses.
    Regexp(String),
}

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob => f.write_str("a glob of this length is too long, make several of it"),
            Self::Regexp(why) => f.write_str(why),
        }
    }
}

impl Error for PatternFault {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn regexp(expression: &str, text: &str) -> bool {
        Pattern::regexp(expression).unwrap().matches(text)
    }

    #[test]
    fn alternation_cannot_escape_its_anchors() {
        assert!(regexp("a|b", "a") && regexp("a|b", "b"));
        assert!(!regexp("a|b", "ax") && !regexp("a|b", "xb"));
        assert!(!regexp("a|b|", "ax") && !regexp("|a", "xa"));
    }

    #[test]
    fn what_is_unbalanced_by_itself_is_refused() {
        for expression in ["a)|(?:b", "a)|.*(?:b", ")(", "(?x)a #", "(?x)a|.* #)", "a\\", "[a", "(?:a"] {
            assert!(Pattern::regexp(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn flags_inside_do_not_loosen_the_anchors() {
        assert!(!regexp("(?m)a$", "a\nb") && !regexp("(?m)^b", "a\nb"));
        assert!(!regexp("a$|b", "ab") && !regexp("(?s).|b", "ab"));
    }

    #[test]
    fn a_large_expression_is_refused() {
        assert!(Pattern::regexp("(a{100}){100}").is_err());
        assert!(Pattern::regexp(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_err());
    }

    #[test]
    fn the_literal_before_an_expression_is_no_expression() {
        let pattern = Pattern::regexp_after("role.x/", "a|b").unwrap();
        assert!(pattern.matches("role.x/a") && pattern.matches("role.x/b"));
        assert!(!pattern.matches("role-x/a") && !pattern.matches("b") && !pattern.matches("role.x/ab"));
    }

    /// Tries every split of the text at a `*`: slow, and obviously what a glob means.
    fn slow_glob(glob: &[char], text: &[char]) -> bool {
        match (glob, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|skip| slow_glob(rest, &text[skip..])),
            ([c, glob @ ..], [d, text @ ..]) => c == d && slow_glob(glob, text),
            _ => false,
        }
    }

    #[derive(Debug, Clone)]
    enum Node {
        Literal(char),
        Any,
        Sequence(Vec<Node>),
        Alternatives(Vec<Node>),
        Repeat(Box<Node>),
    }

    impl Node {
        fn write(&self) -> String {
            match self {
                Self::Literal(c) => c.to_string(),
                Self::Any => ".".to_owned(),
                Self::Sequence(parts) => parts.iter().map(Self::write_grouped).collect(),
                Self::Alternatives(parts) => parts.iter().map(Self::write).collect::<Vec<_>>().join("|"),
                Self::Repeat(part) => format!("{}*", part.write_grouped()),
            }
        }

        fn write_grouped(&self) -> String {
            format!("(?:{})", self.write())
        }

        /// Every place where a match that begins at `from` may end.
        fn ends(&self, text: &[char], from: usize) -> BTreeSet<usize> {
            match self {
                Self::Literal(c) => text.get(from).filter(|d| *d == c).map(|_| from + 1).into_iter().collect(),
                Self::Any => text.get(from).map(|_| from + 1).into_iter().collect(),
                Self::Sequence(parts) => parts.iter().fold(BTreeSet::from([from]), |starts, part| {
                    starts.into_iter().flat_map(|start| part.ends(text, start)).collect()
                }),
                Self::Alternatives(parts) => parts.iter().flat_map(|part| part.ends(text, from)).collect(),
                Self::Repeat(part) => {
                    let mut reached = BTreeSet::from([from]);
                    loop {
                        let next: BTreeSet<_> = reached.iter().flat_map(|start| part.ends(text, *start)).collect();
                        let before = reached.len();
                        reached.extend(next);
                        if reached.len() == before {
                            return reached;
                        }
                    }
                }
            }
        }
    }

    fn node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![prop::sample::select(vec!['a', 'b', '/']).prop_map(Node::Literal), Just(Node::Any)];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Node::Sequence),
                prop::collection::vec(inner.clone(), 1..3).prop_map(Node::Alternatives),
                inner.prop_map(|part| Node::Repeat(Box::new(part))),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_the_slow_matcher_does(glob in "[ab/.+*]{0,7}", text in "[ab/.+\n]{0,8}") {
            let (slow_pattern, slow_text): (Vec<_>, Vec<_>) = (glob.chars().collect(), text.chars().collect());
            let expected = slow_glob(&slow_pattern, &slow_text);
            prop_assert_eq!(Pattern::glob(&glob).unwrap().matches(&text), expected);
        }

        #[test]
        fn an_expression_matches_what_the_slow_matcher_does(node in node(), text in "[ab/]{0,6}") {
            let characters: Vec<_> = text.chars().collect();
            let expected = node.ends(&characters, 0).contains(&characters.len());
            prop_assert_eq!(Pattern::regexp(&node.write()).unwrap().matches(&text), expected, "{}", node.write());
        }

        #[test]
        fn no_text_panics_the_compiler(text in "\\PC{0,24}") {
            let _ = Pattern::regexp(&text);
            prop_assert!(Pattern::glob(&text).is_ok());
        }
    }
}
