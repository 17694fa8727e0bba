//! The results of all cases, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::trial::{PhaseResult, Trial};
use crate::plugin::digest_hex;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub plugin: String,
    pub sha256: String,
    pub passed: usize,
    pub failed: usize,
    pub cases: Vec<Trial>,
}

/// ANSI colours of a terminal.
const GREEN: &str = "32";
const RED: &str = "1;31";

/// The column does not grow for longer names.
const NAME_WIDTH: usize = 60;

impl Report {
    pub(super) fn of(plugin: String, digest: &[u8; 32], cases: Vec<Trial>) -> Self {
        let passed = cases.iter().filter(|trial| trial.passed).count();
        Self { plugin, sha256: digest_hex(digest), passed, failed: cases.len() - passed, cases }
    }

    pub fn is_passed(&self) -> bool {
        self.failed == 0
    }

    /// One line per case; below a failed one, why.
    pub fn text(&self, coloured: bool) -> String {
        let paint = |colour: &str, text: &str| match coloured {
            true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        let longest = self.cases.iter().map(|trial| trial.name.chars().count()).max().unwrap_or_default();
        let width = longest.min(NAME_WIDTH);
        let mut text = String::new();
        for trial in &self.cases {
            let mark = if trial.passed { paint(GREEN, "ok  ") } else { paint(RED, "FAIL") };
            let _ = writeln!(text, "{mark}  {:width$}  {}", trial.name, costs(trial));
            if !trial.passed {
                failure(trial, &mut text);
            }
        }
        let (passed, all) = (self.passed, self.cases.len());
        let _ = match self.failed {
            0 => write!(text, "\n{} as expected: {passed} of {all}", paint(GREEN, "all")),
            failed => write!(text, "\n{passed} of {all} as expected, {}", paint(RED, &format!("{failed} not"))),
        };
        text
    }
}

/// Such as `init 210 µs, resolve 9 µs, 1.1 MiB`.
fn costs(trial: &Trial) -> String {
    let mut costs: Vec<String> =
        trial.phases.iter().map(|result| format!("{} {} µs", result.phase.key(), result.microseconds)).collect();
    costs.extend(trial.memory_bytes.map(memory));
    costs.join(", ")
}

pub(super) fn memory(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

fn failure(trial: &Trial, text: &mut String) {
    let wrong: Vec<&PhaseResult> = trial.phases.iter().filter(|result| !result.differences.is_empty()).collect();
    for result in wrong {
        let phase = result.phase.key();
        for difference in &result.differences {
            let what = difference.field.map_or_else(|| phase.to_owned(), |field| format!("{phase}.{field}"));
            let _ = writeln!(text, "      {what:<26} expected  {}", difference.expected);
            let _ = writeln!(text, "      {:<26} got       {}", "", difference.got);
        }
    }
    for (what, lines) in [("note", &trial.notes), ("log", &trial.log)] {
        for line in lines {
            let _ = writeln!(text, "      {what}: {line}");
        }
    }
}
