//! A TOML text, and where in it each key stands.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use figment::value::{Dict, Value};
use toml_edit::{Item, TableLike};

use super::{
    diagnostic::{Diagnostic, Diagnostics, Excerpt},
    key::{Key, Step},
    origin::Origin,
    redact,
};

/// Longer lines are cut: they are generated, and nobody reads them.
const EXCERPT_MAX: usize = 160;

#[derive(Debug)]
pub(crate) struct Document {
    file: PathBuf,
    parsed: toml_edit::Document<String>,
}

/// Which of the two a diagnostic points at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Name,
    Value,
}

impl Document {
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, Diagnostics> {
        match toml_edit::Document::parse(text.to_owned()) {
            Ok(parsed) => Ok(Self { file: file.to_owned(), parsed }),
            Err(error) => {
                let (origin, excerpt) = match error.span() {
                    Some(span) => place(file, text, span, None),
                    None => (Origin::whole_file(file), None),
                };
                let problem = error.message().trim_end().replace('\n', ", ");
                Err(Diagnostic {
                    origin,
                    key: String::new(),
                    problem: format!("not TOML: {problem}"),
                    help: None,
                    excerpt,
                }
                .into())
            }
        }
    }

    /// The whole text as figment's values.
    pub(crate) fn values(&self) -> Dict {
        dict(self.parsed.as_table())
    }

    /// The place of `key`, or of the nearest table around it that is in the document.
    pub(crate) fn place(&self, key: &Key, part: Part) -> (Origin, Option<Excerpt>) {
        let own = key.own_name().map(str::to_owned);
        let (mut key, mut part) = (key.clone(), part);
        loop {
            if let Some(span) = self.span(&key, part) {
                return place(&self.file, self.parsed.raw(), span, own.as_deref());
            }
            // A missing key is reported at the header of its table.
            part = Part::Value;
            match key.parent() {
                Some(parent) if !parent.steps().is_empty() => key = parent,
                _ => return (Origin::whole_file(&self.file), None),
            }
        }
    }

    fn span(&self, key: &Key, part: Part) -> Option<Range<usize>> {
        let mut here = self.parsed.as_item();
        let mut name = None;
        let mut inner: Option<&dyn TableLike> = here.as_table_like();
        let mut value = None;
        for step in key.steps() {
            match step {
                Step::Name(wanted) => {
                    let (found, item) = inner?.get_key_value(wanted)?;
                    name = found.span();
                    here = item;
                    value = item.span();
                    inner = item.as_table_like();
                }
                Step::Index(index) => match here {
                    Item::ArrayOfTables(tables) => {
                        let table = tables.get(*index)?;
                        value = table.span();
                        inner = Some(table);
                    }
                    other => {
                        let element = other.as_array()?.get(*index)?;
                        value = element.span();
                        inner = element.as_inline_table().map(|table| table as &dyn TableLike);
                    }
                },
            }
        }
        if part == Part::Name { name.or(value) } else { value.or(name) }
    }
}

fn dict(table: &dyn TableLike) -> Dict {
    table.iter().filter_map(|(name, item)| Some((name.to_owned(), value_of_item(item)?))).collect()
}

fn value_of_item(item: &Item) -> Option<Value> {
    match item {
        Item::None => None,
        Item::Value(value) => Some(value_of(value)),
        Item::Table(table) => Some(Value::from(dict(table))),
        Item::ArrayOfTables(tables) => {
            Some(Value::from(tables.iter().map(|table| Value::from(dict(table))).collect::<Vec<_>>()))
        }
    }
}

/// No key has a date's type, and neither has the JSON that plugins read: a date becomes the text that was written.
pub(crate) fn value_of(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::from(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(switch) => Value::from(*switch.value()),
        toml_edit::Value::Datetime(date) => Value::from(date.value().to_string()),
        toml_edit::Value::Array(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        toml_edit::Value::InlineTable(table) => Value::from(dict(table)),
    }
}

/// Line and column of a span, with its line as an excerpt. Of a span of several lines the first is marked.
fn place(file: &Path, text: &str, span: Range<usize>, own: Option<&str>) -> (Origin, Option<Excerpt>) {
    let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let head = text.get(..start).unwrap_or_default();
    let line = head.matches('\n').count() + 1;
    let line_start = head.rfind('\n').map_or(0, |at| at + 1);
    let before = head.get(line_start..).unwrap_or_default().chars().count();
    let whole = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let origin = Origin::File { file: file.to_owned(), line: Some(line), column: Some(before + 1) };
    let shown: String = match redact::line(whole, own) {
        // A file may hold escape sequences that a terminal would obey.
        Some(line) => line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect(),
        None => return (origin, None),
    };
    if before > EXCERPT_MAX {
        return (origin, None);
    }
    let marked = text.get(start..span.end).unwrap_or_default().lines().next().unwrap_or_default().chars().count();
    let text: String = shown.chars().take(EXCERPT_MAX).collect();
    let room = text.chars().count().saturating_sub(before);
    let marked = (before, marked.clamp(1, room.max(1)));
    (origin, Some(Excerpt { line, text, marked }))
}
