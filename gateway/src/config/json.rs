//! A plugin's configuration as it reads it: JSON, which has no infinity and no NaN.

use figment::value::{Dict, Value};

use super::key::Key;

pub(crate) const NO_JSON: &str = "is a number that JSON cannot hold";
pub(crate) const NO_JSON_HELP: &str = "a plugin reads its config as JSON: write a finite number";

/// The error is the keys of the numbers that JSON cannot hold.
pub(crate) fn json_of(key: &Key, dict: &Dict) -> Result<serde_json::Value, Vec<Key>> {
    let mut odd = Vec::new();
    odd_numbers(key, &Value::from(dict.clone()), &mut odd);
    if !odd.is_empty() {
        return Err(odd);
    }
    // Cannot fail: JSON can hold finite numbers, strings, booleans, arrays and tables of them.
    Ok(serde_json::to_value(dict).unwrap_or_default())
}

fn odd_numbers(key: &Key, value: &Value, odd: &mut Vec<Key>) {
    match value {
        Value::Dict(_, dict) => dict.iter().for_each(|(name, value)| odd_numbers(&key.name(name), value, odd)),
        Value::Array(_, items) => {
            items.iter().enumerate().for_each(|(index, item)| odd_numbers(&key.index(index), item, odd));
        }
        Value::Num(_, number) if number.to_f64().is_some_and(|number| !number.is_finite()) => odd.push(key.clone()),
        _ => {}
    }
}
