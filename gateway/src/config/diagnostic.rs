//! What is wrong with a file or a variable, where, and how to mend it.

use std::fmt;

use serde::Serialize;

use super::origin::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub origin: Origin,
    /// As TOML writes it, `plugin[2].timeout`; empty if the whole file is wrong.
    pub key: String,
    pub problem: String,
    pub help: Option<String>,
    #[serde(skip)]
    pub(crate) excerpt: Option<Excerpt>,
}

/// The wrong line; absent if it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) line: usize,
    pub(crate) text: String,
    /// Characters of `text` before the marked ones, and how many are marked.
    pub(crate) marked: (usize, usize),
}

impl Diagnostic {
    /// Counts from 1.
    pub fn line(&self) -> Option<usize> {
        match self.origin {
            Origin::File { line, .. } => line,
            _ => None,
        }
    }

    /// In characters, counts from 1.
    pub fn column(&self) -> Option<usize> {
        match self.origin {
            Origin::File { column, .. } => column,
            _ => None,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, self.key.is_empty()) {
            (Origin::Default, true) => write!(f, "{}", self.problem)?,
            (Origin::Default, false) => write!(f, "{}: {}", self.key, self.problem)?,
            (origin, true) => write!(f, "{origin}: {}", self.problem)?,
            (origin, false) => write!(f, "{origin}: {}: {}", self.key, self.problem)?,
        }
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, marked) = self.marked;
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        // Tabs stay tabs, so that the marks stand below what they mark.
        let pad: String = self.text.chars().take(before).map(|c| if c == '\t' { c } else { ' ' }).collect();
        writeln!(f, "  {number} | {}", self.text)?;
        write!(f, "  {gutter} | {pad}{}", "^".repeat(marked.max(1)))
    }
}

/// Everything that is wrong, in the order of [`Origin`]. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None if nothing is wrong.
    pub(crate) fn of(mut found: Vec<Diagnostic>) -> Option<Self> {
        // A stable sort: diagnostics of one place stay in the order in which they were found.
        found.sort_by(|a, b| a.origin.cmp(&b.origin));
        (!found.is_empty()).then_some(Self(found))
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        Ok(())
    }
}
