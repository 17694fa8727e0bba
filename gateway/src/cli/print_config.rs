//! `metagate config`

use std::process::ExitCode;

use anyhow::Context;

use super::{ConfigArgs, Failure, Output, print};

pub(super) fn run(args: &ConfigArgs, output: Output) -> Result<ExitCode, Failure> {
    let effective = args.load()?.effective;
    match output {
        Output::Text => print(effective.render().trim_end()),
        Output::Json => print(&serde_json::to_string_pretty(&effective.to_json()).context("cannot write JSON")?),
    }
    Ok(ExitCode::SUCCESS)
}
