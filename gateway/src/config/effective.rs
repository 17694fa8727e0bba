//! The effective configuration: the value of each key, and where it came from. Secrets are redacted.

use serde_json::{Value, json};
use toml_edit::{Item, TableLike};

use super::{
    document,
    key::Key,
    layers::Layers,
    origin::Origin,
    raw::{PluginConfig, Raw},
    redact, sources,
};

/// Every key in the order of `config/metagate.toml`.
#[derive(Clone, Debug)]
pub struct Effective {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// `[pods]`, `[[plugin]]`; empty for a key before the first table.
    header: String,
    section: Key,
    name: String,
    value: toml_edit::Value,
    origin: Origin,
}

impl Effective {
    pub(super) fn of(raw: &Raw, layers: &Layers, node_name: Option<&str>) -> Self {
        let mut shown = redacted(raw);
        let node_from_environment = shown.roster.node.is_empty() && node_name.is_some();
        if let (true, Some(node)) = (node_from_environment, node_name) {
            shown.roster.node = node.to_owned();
        }
        let mut entries = Vec::new();
        // Cannot fail, as the structs hold only TOML's types: a test renders every default, and a property test what was
        // parsed.
        let document = toml_edit::ser::to_document(&shown).unwrap_or_default();
        for (section, item) in document.iter() {
            let key = Key::default().name(section);
            if let Some(table) = item.as_table_like() {
                entries.extend(rows(&format!("[{section}]"), &key, table, layers));
            } else if let Some(array) = item.as_array() {
                let tables = array.iter().filter_map(|element| element.as_inline_table()).enumerate();
                let mut of_tables = Vec::new();
                for (index, table) in tables {
                    of_tables.extend(rows(&format!("[[{section}]]"), &key.index(index), table, layers));
                }
                if of_tables.is_empty() {
                    let value = toml_edit::Value::Array(array.clone());
                    let origin = layers.origin(&key);
                    entries.insert(
                        0,
                        Entry {
                            header: String::new(),
                            section: Key::default(),
                            name: section.to_owned(),
                            value,
                            origin,
                        },
                    );
                }
                entries.extend(of_tables);
            }
        }
        if node_from_environment {
            let node = entries.iter_mut().find(|entry| entry.header == "[roster]" && entry.name == "node");
            if let Some(node) = node {
                node.origin = Origin::Environment { variable: sources::NODE_NAME.to_owned() };
            }
        }
        Self { entries }
    }

    /// TOML that can be read back, each line ending in where its value came from.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut section = &Key::default();
        for entry in &self.entries {
            if entry.section != *section {
                let gap = if text.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{gap}{}\n", entry.header));
                section = &entry.section;
            }
            let value = entry.value.to_string();
            text.push_str(&format!("{} = {}  # {}\n", entry.name, value.trim(), comment(&entry.origin)));
        }
        text
    }

    /// The keys whose value differs from `before`'s, dotted. Redacted values count as equal.
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        let said = |of: &Self| {
            let rows =
                of.entries.iter().map(|entry| (entry.section.name(&entry.name).to_string(), entry.value.to_string()));
            rows.collect::<std::collections::BTreeMap<_, _>>()
        };
        let (now, then) = (said(self), said(before));
        let keys: std::collections::BTreeSet<_> = now.keys().chain(then.keys()).collect();
        keys.into_iter().filter(|key| now.get(*key) != then.get(*key)).cloned().collect()
    }

    /// `{"pods": {"listen": {"value": …, "origin": {"from": "file", …}}}, "plugin": [{…}]}`.
    pub fn to_json(&self) -> Value {
        let mut root = serde_json::Map::new();
        let mut previous = &Key::default();
        for entry in &self.entries {
            let value = serde_json::to_value(document::value_of(&entry.value)).unwrap_or_default();
            let shown = json!({"value": value, "origin": entry.origin});
            let section = entry.header.trim_matches(['[', ']']).to_owned();
            if section.is_empty() {
                root.insert(entry.name.clone(), shown);
                continue;
            }
            let is_list = entry.header.starts_with("[[");
            let place = root.entry(section).or_insert_with(|| if is_list { json!([]) } else { json!({}) });
            let table = match place {
                Value::Array(tables) => {
                    if entry.section != *previous {
                        tables.push(json!({}));
                    }
                    tables.last_mut()
                }
                other => Some(other),
            };
            if let Some(Value::Object(table)) = table {
                table.insert(entry.name.clone(), shown);
            }
            previous = &entry.section;
        }
        Value::Object(root)
    }
}

/// In an array's table, an empty string means that the key is absent (`builtin` beside `path`): it is not shown.
fn rows(header: &str, section: &Key, table: &dyn TableLike, layers: &Layers) -> Vec<Entry> {
    let is_element = header.starts_with("[[");
    let mut entries = Vec::new();
    for (name, item) in table.iter() {
        let Item::Value(value) = item else { continue };
        if is_element && value.as_str() == Some("") {
            continue;
        }
        let origin = layers.origin(&section.name(name));
        entries.push(Entry {
            header: header.to_owned(),
            section: section.clone(),
            name: name.to_owned(),
            value: value.clone(),
            origin,
        });
    }
    entries
}

/// A path may hold a line break, which would end the comment.
fn comment(origin: &Origin) -> String {
    let told = match origin {
        Origin::File { file, line: Some(line), .. } => format!("{}:{line}", file.display()),
        Origin::Environment { variable } => format!("environment {variable}"),
        other => other.to_string(),
    };
    told.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

pub(super) fn redacted(raw: &Raw) -> Raw {
    let mut shown = raw.clone();
    for url in [&mut shown.credentials.sts_endpoint, &mut shown.telemetry.otlp_endpoint] {
        *url = redact::url(url).into_owned();
    }
    for plugin in &mut shown.plugin {
        plugin.config = PluginConfig(redact::dict(&plugin.config.0));
    }
    shown
}
