//! A budget's row, as every bench writes it and the table reads it (bench/README.md).

use std::{fs::OpenOptions, io::Write, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What was measured, and what it should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// `B1` to `B11`; `F` for fairness, which has no number.
    pub id: String,
    pub what: String,
    pub measured: f64,
    pub unit: String,
    /// None: the row is printed without a verdict.
    pub target: Option<Target>,
    /// Spread, rounds, other observations.
    pub note: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    Exactly(f64),
}

impl Row {
    pub fn new(id: &str, what: &str, measured: f64, unit: &str, target: impl Into<Option<Target>>) -> Self {
        Self {
            id: id.into(),
            what: what.into(),
            measured,
            unit: unit.into(),
            target: target.into(),
            note: String::new(),
        }
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// For a person, below [`HEAD`].
    pub fn line(&self) -> String {
        let target = match self.target {
            None => String::new(),
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
            Some(Target::Exactly(expected)) => format!("= {expected}"),
        };
        let verdict = match self.passes() {
            None => "",
            Some(true) => "pass",
            Some(false) => "MISS",
        };
        let measured = format!("{} {}", significant(self.measured), self.unit);
        format!("{:<5}{:<60}{measured:>14}  {target:<9}{verdict:<6}{}", self.id, self.what, self.note)
    }

    /// None if there is no target.
    pub fn passes(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtLeast(least) => self.measured >= least,
            Target::AtMost(most) => self.measured <= most,
            Target::Exactly(expected) => self.measured == expected,
        })
    }
}

/// The head of the printed table.
pub const HEAD: &str =
    "id   what                                                             measured  target   verdict";

/// Prints only the digits that matter.
fn significant(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.3}"),
        middling if middling < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Adds rows to a file of JSON lines.
pub fn write(to: &Path, rows: &[Row]) -> Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(to)
        .with_context(|| format!("cannot write {}", to.display()))?;
    for row in rows {
        writeln!(file, "{}", serde_json::to_string(row)?)?;
    }
    Ok(())
}

pub fn read(from: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not a row: {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_passes_on_its_target_and_fails_beyond() {
        let of = |measured, target| Row::new("B", "", measured, "", target).passes();
        assert_eq!(of(0.9, Target::AtLeast(0.9)), Some(true));
        assert_eq!(of(0.89, Target::AtLeast(0.9)), Some(false));
        assert_eq!(of(1.26, Target::AtMost(1.25)), Some(false));
        assert_eq!(of(f64::NAN, Target::AtMost(1.25)), Some(false), "what was not measured does not pass");
        assert_eq!(of(2.0, Target::Exactly(1.0)), Some(false));
        assert_eq!(Row::new("B", "", 1.0, "", None).passes(), None);
    }
}
