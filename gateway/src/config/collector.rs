//! Collects everything that is wrong with a document, so that one look tells all of it.

use figment::value::Value;
use serde::de::DeserializeOwned;

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    document::Part,
    extract::extract_at,
    key::Key,
    layers::Layers,
    origin::Origin,
    units::UnitError,
};

/// A check that finds a wrong value adds a diagnostic, and the other keys are checked all the same. A key gets one
/// diagnostic at most: a second one may only follow from the first.
pub(crate) struct Collector<'a> {
    layers: &'a Layers,
    found: Vec<Diagnostic>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(layers: &'a Layers) -> Self {
        Self { layers, found: Vec::new() }
    }

    /// Deserializes the whole document. A key that serde refuses gets a diagnostic and its default value. None if there
    /// are too many of them.
    pub(crate) fn extract<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.extract_at(&Key::default(), Value::from(self.layers.values().clone()))
    }

    /// Deserializes the value at `key` in the same way.
    pub(crate) fn extract_at<T: DeserializeOwned>(&mut self, key: &Key, value: Value) -> Option<T> {
        let (read, found) = extract_at(self.layers, key, value);
        self.found.extend(found);
        read
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        let key = key.to_string();
        self.found.iter().any(|diagnostic| diagnostic.key == key)
    }

    /// Whether `key` or anything in it has a diagnostic.
    pub(crate) fn has_within(&self, key: &Key) -> bool {
        let key = key.to_string();
        let within =
            |found: &str| found.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        self.found.iter().any(|diagnostic| within(&diagnostic.key))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds a diagnostic at `key`, unless it has one. An empty `help` means none.
    pub(crate) fn refuse(&mut self, key: &Key, problem: impl Into<String>, help: impl Into<String>) {
        if self.has(key) {
            return;
        }
        let (origin, excerpt) = self.layers.place(key, Part::Value);
        let help = Some(help.into()).filter(|help| !help.is_empty());
        self.found.push(Diagnostic { origin, key: key.to_string(), problem: problem.into(), help, excerpt });
    }

    /// Adds a diagnostic for two keys that contradict each other, at the first one that is set. The problem names both.
    pub(crate) fn refuse_pair(&mut self, keys: [&Key; 2], problem: impl Into<String>, help: impl Into<String>) {
        if keys.iter().any(|key| self.has(key)) {
            return;
        }
        let set = keys.iter().find(|key| self.layers.origin(key) != Origin::Default);
        let [first, _] = keys;
        self.refuse(set.unwrap_or(&first), problem, help);
    }

    /// Adds a diagnostic whose origin is not the place of `key` in the document.
    pub(crate) fn refuse_from(&mut self, origin: Origin, key: &Key, problem: impl Into<String>, help: &str) {
        let help = Some(help.to_owned());
        self.found.push(Diagnostic { origin, key: key.to_string(), problem: problem.into(), help, excerpt: None });
    }

    /// The value, or a diagnostic of what is wrong with it.
    pub(crate) fn read<T>(&mut self, key: &Key, outcome: Result<T, UnitError>) -> Option<T> {
        outcome.map_err(|error| self.refuse(key, error.problem, error.help)).ok()
    }

    /// The value that was read, or everything that is wrong.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Diagnostics> {
        match (Diagnostics::of(self.found), read) {
            (None, Some(read)) => Ok(read),
            (Some(diagnostics), _) => Err(diagnostics),
            (None, None) => Err(unexplained().into()),
        }
    }
}

/// A check that refuses without a diagnostic would be a defect of ours; it must still refuse.
fn unexplained() -> Diagnostic {
    Diagnostic {
        origin: Origin::Default,
        key: String::new(),
        problem: "this is refused, and no check says why".to_owned(),
        help: Some("report this with the file".to_owned()),
        excerpt: None,
    }
}
