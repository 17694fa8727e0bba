//! `metagate-load table`: every row that was measured, in the budgets' order.

use std::{fmt::Write as _, fs, io::Write as _, process::Command};

use anyhow::{Context, Result};
use metagate_load::budget;

use crate::Table;

pub(crate) fn run(args: &Table) -> Result<()> {
    let mut rows = budget::read(&args.rows)?;
    rows.sort_by_key(|row| place(&row.id));
    let mut text = format!("{}\n\n{}\n", machine()?, budget::HEAD);
    for row in &rows {
        writeln!(text, "{}", row.line())?;
    }
    let missed = rows.iter().filter(|row| row.passes() == Some(false)).count();
    let judged = rows.iter().filter(|row| row.passes().is_some()).count();
    writeln!(text, "\n{} of {judged} pass", judged - missed)?;
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(folder) = &args.write {
        let to = folder.join(format!("{}-budgets.txt", said_by("date", &["+%F"])?));
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// B2 before B10, and what has no number last.
fn place(id: &str) -> u32 {
    id.strip_prefix('B').and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

fn machine() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> =
        processors.lines().filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).collect();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(format!(
        "{}, {} × {}, Linux {}, {}, revision {}",
        said_by("date", &["+%F"])?,
        models.len(),
        models.first().unwrap_or(&"processor"),
        kernel.trim(),
        said_by("rustc", &["--version"])?,
        said_by("git", &["describe", "--always", "--dirty"])?,
    ))
}

fn said_by(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
