//! Defaults, file, environment and flags, each overriding those before, and for each value the layer that it came from.

use std::path::Path;

use figment::{
    Figment, Metadata, Profile, Provider,
    error::Result as FigmentResult,
    providers::Serialized,
    value::{Dict, Map, Value},
};

use super::{
    diagnostic::{Diagnostic, Diagnostics, Excerpt},
    document::{Document, Part, value_of},
    key::{Key, Step},
    origin::Origin,
    raw::Raw,
    sources::{PREFIX, Sources},
};

pub(crate) struct Layers {
    figment: Figment,
    values: Dict,
    document: Option<Document>,
    /// Every key that has a default: suggestions for misspelt ones.
    known: Vec<Key>,
}

const FILE: &str = "file";
const ENVIRONMENT: &str = "environment";
const FLAG: &str = "flag";

impl Layers {
    pub(crate) fn of(sources: &Sources) -> Result<Self, Diagnostics> {
        let defaults = Figment::from(Serialized::defaults(Raw::default()));
        let known_values = merged(&defaults);
        let mut figment = defaults;
        let document = match &sources.file {
            Some((path, text)) => Some(Document::parse(path, text)?),
            None => None,
        };
        if let Some(document) = &document {
            figment = figment.merge(Layer::of_file(document));
        }
        for (variable, text) in sources.variables() {
            let key = key_of_variable(variable);
            refuse_depth(&key, Origin::Environment { variable: variable.clone() })?;
            figment = figment.merge(Layer::of_one(ENVIRONMENT, variable, &key, read_value(&known_values, &key, text)));
        }
        for (dotted, text) in &sources.overrides {
            let key = Key::dotted(dotted);
            refuse_depth(&key, Origin::Flag { flag: dotted.clone() })?;
            figment = figment.merge(Layer::of_one(FLAG, dotted, &key, read_value(&known_values, &key, text)));
        }
        let known = leaves(&known_values);
        Ok(Self { values: merged(&figment), figment, document, known })
    }

    /// One file, without defaults, environment or flags.
    pub(crate) fn of_file(file: &Path, text: &str) -> Result<Self, Diagnostics> {
        let document = Document::parse(file, text)?;
        let figment = Figment::from(Layer::of_file(&document));
        Ok(Self { values: merged(&figment), figment, document: Some(document), known: Vec::new() })
    }

    pub(crate) fn values(&self) -> &Dict {
        &self.values
    }

    pub(crate) fn known(&self) -> &[Key] {
        &self.known
    }

    /// Where the value of `key` came from: the default, unless a layer sets exactly this key.
    pub(crate) fn origin(&self, key: &Key) -> Origin {
        match self.deepest(key) {
            (Some(value), depth) if depth == key.steps().len() => self.origin_of(value, key, Part::Value).0,
            _ => Origin::Default,
        }
    }

    /// The place for a diagnostic of `key`: the key itself, or the table that it is missing in.
    pub(crate) fn place(&self, key: &Key, part: Part) -> (Origin, Option<Excerpt>) {
        match self.deepest(key) {
            (Some(value), _) => self.origin_of(value, key, part),
            (None, _) => (Origin::Default, None),
        }
    }

    fn origin_of(&self, value: &Value, key: &Key, part: Part) -> (Origin, Option<Excerpt>) {
        let Some(metadata) = self.figment.get_metadata(value.tag()) else { return (Origin::Default, None) };
        let custom = || metadata.source.as_ref().and_then(|source| source.custom()).unwrap_or_default().to_owned();
        match (&*metadata.name, &self.document) {
            (FILE, Some(document)) => document.place(key, part),
            (ENVIRONMENT, _) => (Origin::Environment { variable: custom() }, None),
            (FLAG, _) => (Origin::Flag { flag: custom() }, None),
            _ => (Origin::Default, None),
        }
    }

    fn deepest(&self, key: &Key) -> (Option<&Value>, usize) {
        let (mut found, mut depth): (Option<&Value>, usize) = (None, 0);
        for step in key.steps() {
            let next = match (step, found) {
                (Step::Name(name), None) => self.values.get(name),
                (Step::Name(name), Some(Value::Dict(_, dict))) => dict.get(name),
                (Step::Index(index), Some(Value::Array(_, items))) => items.get(*index),
                _ => None,
            };
            let Some(value) = next else { break };
            (found, depth) = (Some(value), depth + 1);
        }
        (found, depth)
    }
}

struct Layer {
    name: &'static str,
    source: String,
    values: Dict,
}

impl Layer {
    fn of_file(document: &Document) -> Self {
        Self { name: FILE, source: String::new(), values: document.values() }
    }

    fn of_one(name: &'static str, source: &str, key: &Key, value: Value) -> Self {
        let names = key.steps().iter().rev().filter_map(|step| match step {
            Step::Name(name) => Some(name.clone()),
            Step::Index(_) => None,
        });
        let nested = names.fold(value, |inner, name| Value::from(Dict::from([(name, inner)])));
        Self { name, source: source.to_owned(), values: nested.into_dict().unwrap_or_default() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.name, figment::Source::Custom(self.source.clone()))
    }

    fn data(&self) -> FigmentResult<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// No key has more than two levels; figment recurses once for each.
const DEPTH_MAX: usize = 8;

fn refuse_depth(key: &Key, origin: Origin) -> Result<(), Diagnostics> {
    if key.steps().len() <= DEPTH_MAX {
        return Ok(());
    }
    let problem = "there is no such key: it has too many levels".to_owned();
    Err(Diagnostic { origin, key: String::new(), problem, help: None, excerpt: None }.into())
}

/// Cannot fail: a test serializes the defaults, and the other layers hold their values.
fn merged(figment: &Figment) -> Dict {
    figment.data().ok().and_then(|mut profiles| profiles.remove(&Profile::Default)).unwrap_or_default()
}

/// `METAGATE_IMDS__TOKEN` is `imds.token`.
fn key_of_variable(variable: &str) -> Key {
    let tail = variable.strip_prefix(PREFIX).unwrap_or(variable).to_ascii_lowercase();
    Key::split(&tail, "__")
}

pub(super) fn variable_of_key(key: &Key) -> String {
    let names = key.steps().iter().filter_map(|step| match step {
        Step::Name(name) => Some(name.to_ascii_uppercase()),
        Step::Index(_) => None,
    });
    format!("{PREFIX}{}", names.collect::<Vec<_>>().join("__"))
}

/// A key that holds a string takes the text as it is, so that nobody has to quote twice; any other key parses it as TOML.
/// Text that is not TOML stays a string, and is refused for the key's type.
fn read_value(known: &Dict, key: &Key, text: &str) -> Value {
    let mut holder = Some(Value::from(known.clone()));
    for step in key.steps() {
        holder = match (step, holder) {
            (Step::Name(name), Some(Value::Dict(_, mut dict))) => dict.remove(name),
            _ => None,
        };
    }
    match (holder, text.trim().parse::<toml_edit::Value>()) {
        (Some(Value::String(..)), _) | (_, Err(_)) => Value::from(text),
        (_, Ok(value)) => value_of(&value),
    }
}

fn leaves(defaults: &Dict) -> Vec<Key> {
    let mut keys = Vec::new();
    for (section, value) in defaults {
        match value {
            Value::Dict(_, dict) => keys.extend(dict.keys().map(|name| Key::default().name(section).name(name))),
            _ => keys.push(Key::default().name(section)),
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_layer() {
        let layers = Layers::of(&Sources::default()).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(layers.values().len(), 11);
        assert_eq!(layers.origin(&Key::dotted("pods.listen")), Origin::Default);
    }

    #[test]
    fn a_variable_and_its_key_name_each_other() {
        for key in Layers::of(&Sources::default()).unwrap_or_else(|fault| panic!("{fault}")).known() {
            assert_eq!(&key_of_variable(&variable_of_key(key)), key);
        }
    }
}
