//! The `[[plugin]]` table of a component, to paste into metagate.toml.

use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// A plugin's name, derived from its file's: `target/…/my_policy.wasm` is `my-policy`.
pub fn plugin_name(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let letter = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    // The configuration's limit.
    let name: String = stem.chars().map(letter).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "plugin".to_owned() } else { name.to_owned() }
}

/// Without `config` if it is empty.
pub(super) fn table(file: &Path, sha256: &str, clock: bool, config: &serde_json::Value) -> String {
    let mut table = Table::new();
    table.insert("name", value(plugin_name(file)));
    table.insert("path", value(file.display().to_string()));
    table.insert("sha256", value(sha256));
    if clock {
        table.insert("clock", value(true));
    }
    if config.as_object().is_some_and(|config| !config.is_empty())
        && let Ok(config) = serde::Serialize::serialize(config, toml_edit::ser::ValueSerializer::new())
    {
        table.insert("config", Item::Value(config));
    }
    let mut plugins = ArrayOfTables::new();
    plugins.push(table);
    let mut document = DocumentMut::new();
    document.insert("plugin", Item::ArrayOfTables(plugins));
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_after_its_file() {
        for (file, name) in [
            ("target/release/my_policy.wasm", "my-policy"),
            ("Office Hours.wasm", "office-hours"),
            ("…", "plugin"),
            ("/", "plugin"),
        ] {
            assert_eq!(plugin_name(Path::new(file)), name, "{file}");
        }
    }

    #[test]
    fn the_table_is_toml_with_the_configuration_in_it() {
        let config = serde_json::json!({ "open": "08:00", "days": [1, 2], "deep": { "a": true } });
        let written = table(Path::new("/plugins/a.wasm"), "00", true, &config);
        let read: toml_edit::DocumentMut = written.parse().unwrap();
        assert_eq!(read["plugin"][0]["config"]["deep"]["a"].as_bool(), Some(true), "{written}");
        assert_eq!(read["plugin"][0]["clock"].as_bool(), Some(true));
        let plain = table(Path::new("a"), "00", false, &serde_json::json!({}));
        assert!(!plain.contains("config") && !plain.contains("clock"), "{plain}");
    }
}
