//! Notes for a person on the configuration.

use std::{collections::HashSet, fmt};

use super::render::wrapped;

/// In the order in which they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Could not be carried over.
    Lost,
    /// Has no counterpart and needs none.
    NotNeeded,
    /// Behaves differently from now on, on purpose.
    Change,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    pub kind: Kind,
    /// A flag as written, or a topic.
    pub about: String,
    pub text: String,
    /// What to do; empty where there is nothing to do.
    pub instead: String,
}

#[derive(Debug, Default)]
pub struct Notes(Vec<Note>);

/// Terminals are at least this wide.
const WIDTH: usize = 100;

impl Notes {
    pub(super) fn new(mut notes: Vec<Note>) -> Self {
        // A flag that is given a thousand times is noted once.
        let mut seen = HashSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        notes.sort_by_key(|note| note.kind);
        Self(notes)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Note> {
        self.0.iter()
    }

    /// Whether nothing was lost.
    pub fn is_complete(&self) -> bool {
        self.0.iter().all(|note| note.kind != Kind::Lost)
    }
}

impl Note {
    pub(super) fn lost(about: impl Into<String>, text: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { kind: Kind::Lost, about: about.into(), text: text.into(), instead: instead.into() }
    }

    pub(super) fn not_needed(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self { kind: Kind::NotNeeded, about: about.into(), text: text.into(), instead: String::new() }
    }

    pub(super) fn change(about: impl Into<String>, text: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { kind: Kind::Change, about: about.into(), text: text.into(), instead: instead.into() }
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heading = None;
        for note in &self.0 {
            if heading != Some(note.kind) {
                let gap = if heading.is_some() { "\n" } else { "" };
                writeln!(f, "{gap}{}", note.kind.heading())?;
                heading = Some(note.kind);
            }
            write!(f, "{}", wrapped("  ", WIDTH, &format!("{}: {}", note.about, note.text)))?;
            if !note.instead.is_empty() {
                write!(f, "{}", wrapped("    ", WIDTH, &format!("-> {}", note.instead)))?;
            }
        }
        Ok(())
    }
}

impl Kind {
    fn heading(self) -> &'static str {
        match self {
            Self::Lost => "Not carried over:",
            Self::NotNeeded => "Not needed:",
            Self::Change => "What changes:",
        }
    }
}
