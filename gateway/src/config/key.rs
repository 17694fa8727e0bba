//! Where a value stands in a TOML document: `imds.token`, `plugin[2].timeout`.

use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

impl Key {
    /// Splits at every dot: only for names without dots, such as those of sections.
    pub(crate) fn dotted(written: &str) -> Self {
        Self::split(written, ".")
    }

    pub(crate) fn split(written: &str, between: &str) -> Self {
        Self(written.split(between).map(|name| Step::Name(name.to_owned())).collect())
    }

    pub(crate) fn name(&self, name: &str) -> Self {
        self.with(Step::Name(name.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    pub(crate) fn join(&self, below: &Self) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, head) = self.0.split_last()?;
        Some(Self(head.to_vec()))
    }

    /// The last name, without indexes: `allow` of `imds.allow[1]`.
    pub(crate) fn last_name(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        })
    }

    /// The last name, if the gateway defines its meaning: below `plugin`, a plugin does.
    pub(crate) fn own_name(&self) -> Option<&str> {
        let of_plugin = matches!(self.0.first(), Some(Step::Name(section)) if section == "plugin");
        if of_plugin { None } else { self.last_name() }
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if at == 0 => f.write_str(&quoted(name))?,
                Step::Name(name) => write!(f, ".{}", quoted(name))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// TOML's own rule: a bare key is `A-Za-z0-9_-`, everything else stands in quotes.
fn quoted(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_toml_writes_it() {
        let key = Key::dotted("plugin").index(2).name("config").name("a.b");
        assert_eq!(key.to_string(), r#"plugin[2].config."a.b""#);
        assert_eq!(key.last_name(), Some("a.b"));
        assert_eq!(Key::dotted("imds.allow").index(1).last_name(), Some("allow"));
    }
}
