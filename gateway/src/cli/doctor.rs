//! `metagate doctor`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use metagate::{
    clock::Clock,
    config::{INTERCEPT_STATUS_FILE, Sources, load},
    doctor::{Doctor, Finding, PATIENCE, Verdict},
};

use super::{ConfigArgs, FAILURE, Failure, Output, block_on, print};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Check a running `metagate run --sandbox`
    #[arg(long, conflicts_with = "config")]
    sandbox: bool,
    /// The file that `metagate intercept install --watch --status-file` writes [default: intercept.status_file]
    #[arg(long, value_name = "FILE")]
    status_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    // A configuration with errors is a finding like any other.
    let loaded = match args.sandbox {
        true => Sources::sandbox().and_then(|sources| load(&sources)),
        false => args.config.load(),
    };
    let loaded = loaded.map(|loaded| loaded.config);
    let configured =
        || loaded.as_ref().map_or(INTERCEPT_STATUS_FILE.into(), |config| config.intercept.status_file.clone());
    let status_file = args.status_file.clone().unwrap_or_else(configured);
    let doctor = Doctor { status_file, patience: PATIENCE, clock: Clock::system() };
    let findings = block_on(async { Ok(doctor.examine(loaded).await) })?;
    match args.output {
        Output::Json => print(&serde_json::to_string_pretty(&findings).context("cannot write JSON")?),
        Output::Text => print(&text(&findings)),
    }
    let fails = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if fails { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS })
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for finding in findings {
        let mut found = finding.found.lines();
        let first = found.next().unwrap_or_default();
        lines.push(format!("{}  {:width$}  {first}", finding.verdict.label(), finding.check));
        lines.extend(found.map(|line| format!("{:6}{:width$}  {line}", "", "")));
        lines.extend(finding.cure.iter().map(|cure| format!("{:6}{:width$}  -> {cure}", "", "")));
    }
    let counted = [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Skip].map(|verdict| {
        let count = findings.iter().filter(|finding| finding.verdict == verdict).count();
        format!("{count} {}", verdict.label())
    });
    lines.push(format!("\n{}", counted.join(", ")));
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}
