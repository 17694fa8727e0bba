//! Deserializes merged values, without stopping at the first key that does not fit.

use figment::{
    error::{Error, Kind},
    value::{Num, Value},
};
use serde::de::DeserializeOwned;

use super::{
    diagnostic::Diagnostic,
    document::Part,
    key::{Key, Step},
    layers::{Layers, variable_of_key},
    nearest::nearest,
    origin::Origin,
    quote::quote,
};

/// Each costs one pass, and nobody mends more in one go.
const DIAGNOSTICS_MAX: usize = 100;

/// Deserializes the values at `top`. A key that serde refuses gets a diagnostic and is removed, so that it has its
/// default and the next wrong key shows. None if there are too many of them.
pub(super) fn extract_at<T: DeserializeOwned>(
    layers: &Layers,
    top: &Key,
    mut values: Value,
) -> (Option<T>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    while found.len() < DIAGNOSTICS_MAX {
        let error = match values.deserialize::<T>() {
            Ok(extracted) => return (Some(extracted), found),
            Err(error) => error,
        };
        let key = key_of(&error, &values);
        found.push(diagnostic(layers, &error, top, &key, &values));
        if !leave_out(&mut values, &key) {
            break;
        }
    }
    (None, found)
}

/// figment writes an index like a name: only the value tells whether it is one.
fn key_of(error: &Error, values: &Value) -> Key {
    let mut key = Key::default();
    let mut here = Some(values);
    for part in &error.path {
        (key, here) = match (here, part.parse::<usize>()) {
            (Some(Value::Array(_, items)), Ok(index)) => (key.index(index), items.get(index)),
            (Some(Value::Dict(_, dict)), _) => (key.name(part), dict.get(part)),
            _ => (key.name(part), None),
        };
    }
    key
}

fn diagnostic(layers: &Layers, error: &Error, top: &Key, below: &Key, values: &Value) -> Diagnostic {
    let (key, here) = (&top.join(below), find(values, below));
    let (part, problem, help) = match &error.kind {
        Kind::UnknownField(name, known) => {
            (Part::Name, "there is no such key".to_owned(), Some(help_for_unknown(layers, key, name, known)))
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            let found = here.map_or_else(|| "nothing".to_owned(), describe);
            (Part::Value, format!("expected {}, found {found}", in_toml_words(expected)), None)
        }
        other => (Part::Value, other.to_string(), None),
    };
    let (origin, excerpt) = layers.place(key, part);
    let help = help.or_else(|| help_for_type(&origin, key, here));
    Diagnostic { origin, key: key.to_string(), problem, help, excerpt }
}

fn help_for_type(origin: &Origin, key: &Key, found: Option<&Value>) -> Option<String> {
    match (origin, found) {
        (Origin::Environment { .. }, Some(Value::Dict(..))) => {
            Some(format!("set the whole value with {}", variable_of_key(key)))
        }
        (Origin::Environment { .. } | Origin::Flag { .. }, _) => {
            Some(r#"write it as in TOML: 8, true, ["a", "b"], [{ name = "a", builtin = "annotations" }]"#.to_owned())
        }
        (Origin::File { .. }, Some(Value::Dict(..))) if key.steps().len() == 1 => {
            Some(format!("a table that may occur several times is written with two brackets: [[{key}]]"))
        }
        _ => None,
    }
}

fn help_for_unknown(layers: &Layers, key: &Key, name: &str, known: &[&str]) -> String {
    if let (Origin::Environment { variable }, _) = layers.place(key, Part::Name) {
        let variables: Vec<String> = layers.known().iter().map(variable_of_key).collect();
        return match nearest(&variable, variables.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => "variables are named METAGATE_SECTION__KEY, with two underscores between the levels".to_owned(),
        };
    }
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("did you mean {near}?");
    }
    let elsewhere: Vec<String> =
        layers.known().iter().filter(|known| known.last_name() == Some(name)).map(Key::to_string).collect();
    if elsewhere.is_empty() {
        format!("known keys: {}", known.join(", "))
    } else {
        format!("did you mean {}?", elsewhere.join(" or "))
    }
}

/// serde names Rust's types.
fn in_toml_words(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" => "an integer, 0 or more",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("the string {}", quote(text)),
        Value::Char(_, c) => format!("the string {}", quote(&c.to_string())),
        Value::Bool(_, switch) => switch.to_string(),
        Value::Num(_, Num::F32(_) | Num::F64(_)) => format!("the number {}", value.to_f64().unwrap_or_default()),
        Value::Num(..) => format!("the integer {}", value.to_i128().unwrap_or_default()),
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "an array".to_owned(),
    }
}

fn find<'a>(values: &'a Value, key: &Key) -> Option<&'a Value> {
    key.steps().iter().try_fold(values, |here, step| match (here, step) {
        (Value::Dict(_, dict), Step::Name(name)) => dict.get(name),
        (Value::Array(_, items), Step::Index(index)) => items.get(*index),
        _ => None,
    })
}

/// Removes the key from its table. For an array's element the whole array is removed, as the others would change their
/// index.
fn leave_out(values: &mut Value, key: &Key) -> bool {
    let Some(last) = key.steps().iter().rposition(|step| matches!(step, Step::Name(_))) else { return false };
    let mut here = Some(values);
    for (at, step) in key.steps().iter().enumerate() {
        here = match (here, step) {
            (Some(Value::Dict(_, dict)), Step::Name(name)) if at == last => return dict.remove(name).is_some(),
            (Some(Value::Dict(_, dict)), Step::Name(name)) => dict.get_mut(name),
            (Some(Value::Array(_, items)), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        };
    }
    false
}
