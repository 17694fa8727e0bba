//! `metagate-load table`: every row that was measured, in the budgets' order.

use anyhow::Result;
use metagate_load::{budget, report::Report};

use crate::Table;

pub(crate) fn run(args: &Table) -> Result<()> {
    let mut rows = budget::read(&args.rows)?;
    rows.sort_by_key(|row| place(&row.id));
    let mut report = Report::begin("budgets", args.write.clone())?;
    report.line(format_args!("\n{}", budget::HEAD))?;
    for row in &rows {
        report.line(row.line())?;
    }
    let missed = rows.iter().filter(|row| row.passes() == Some(false)).count();
    let judged = rows.iter().filter(|row| row.passes().is_some()).count();
    report.line(format_args!("\n{} of {judged} pass", judged - missed))?;
    report.keep()
}

/// Sorts B2 before B10, and rows without a number last.
fn place(id: &str) -> u32 {
    id.strip_prefix('B').and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}
