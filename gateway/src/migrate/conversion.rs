//! The configuration while it is being made, and the notes on it.

use toml_edit::{DocumentMut, Value};

use super::{
    notes::Note,
    render,
    rules::{env_variable, is_reference},
};
use crate::config::{self, Sources, raw::Raw};

#[derive(Default)]
pub(super) struct Conversion {
    pub(super) entries: Vec<Entry>,
    pub(super) plugins: Vec<PluginTable>,
    pub(super) notes: Vec<Note>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Value,
    /// Begins with the flag that the value comes from.
    pub(super) comment: String,
}

pub(super) struct PluginTable {
    pub(super) builtin: &'static str,
    pub(super) comment: String,
    /// Key, value and comment.
    pub(super) config: Vec<(&'static str, Value, String)>,
}

impl Entry {
    /// `path` is `section.key`.
    pub(super) fn new(path: &'static str, value: impl Into<Value>, comment: impl Into<String>) -> Self {
        let (section, key) = path.split_once('.').unwrap_or((path, ""));
        Self { section, key, value: value.into(), comment: comment.into() }
    }
}

impl Conversion {
    pub(super) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Writes `path`, unless the value is its default or the configuration refuses it: then there is a note on `flag`.
    /// The comment follows the flag's name.
    pub(super) fn set(&mut self, flag: &str, path: &'static str, value: impl Into<Value>, comment: &str) {
        self.set_all(flag, vec![Entry::new(path, value, format!("From {flag}. {comment}"))]);
    }

    /// All of them or none: some keys are right only together.
    pub(super) fn set_all(&mut self, flag: &str, entries: Vec<Entry>) {
        let defaults = defaults();
        let is_default = |entry: &Entry| {
            let default = defaults.get(entry.section).and_then(|section| section.get(entry.key));
            default.and_then(|item| item.as_value()).is_some_and(|value| same(value, &entry.value))
        };
        if let Some(entry) = entries.iter().find(|entry| entry.value.as_str().is_some_and(is_reference)) {
            let name = env_variable(entry.section, entry.key);
            let instead = format!("set {name} in Metagate's DaemonSet from the same source, or write the value itself");
            return self.note(Note::lost(flag, "Kubernetes fills its value in from a variable", instead));
        }
        let (same, differing): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(is_default);
        if differing.is_empty() {
            let keys: Vec<String> = same.iter().map(|entry| format!("{}.{}", entry.section, entry.key)).collect();
            return self.note(Note::not_needed(flag, format!("it is the default of {}", keys.join(" and "))));
        }
        match self.refusal(&differing, &defaults) {
            None => self.entries.extend(differing),
            Some((problem, help)) => self.note(Note::lost(flag, problem, help)),
        }
    }

    /// The first error of the configuration with these entries added to the present ones.
    fn refusal(&self, more: &[Entry], defaults: &DocumentMut) -> Option<(String, String)> {
        let known = |entry: &&Entry| defaults.contains_key(entry.section);
        let all: Vec<&Entry> = self.entries.iter().chain(more).filter(known).collect();
        let text = render::body(all, &[]);
        let sources = Sources { file: Some(("metagate.toml".into(), text)), ..Sources::default() };
        let faults = config::load(&sources).err()?;
        let fault = faults.iter().next()?;
        Some((format!("{}: {}", fault.key, fault.problem), fault.help.clone().unwrap_or_default()))
    }
}

fn defaults() -> DocumentMut {
    toml_edit::ser::to_document(&Raw::default()).unwrap_or_default()
}

/// Equal apart from quotes and white space.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| same(one, other))
        }
        (Value::String(one), Value::String(other)) => one.value() == other.value(),
        (Value::Integer(one), Value::Integer(other)) => one.value() == other.value(),
        (Value::Boolean(one), Value::Boolean(other)) => one.value() == other.value(),
        _ => false,
    }
}
