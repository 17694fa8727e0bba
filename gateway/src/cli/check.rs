//! `metagate check`

use std::process::ExitCode;

use metagate::app;

use super::{BAD_CONFIG, ConfigArgs, Failure, block_on, print, tell};

/// Reports the file's own errors first. Where there are none, it also opens everything that the file names.
pub(super) fn run(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    let config = args.load()?.config;
    let checked = block_on(async { Ok(app::check(&config).await?) })?;
    if checked.errors.is_empty() {
        print(&format!("ok: the configuration is valid, and {} plugins load", checked.plugins));
        return Ok(ExitCode::SUCCESS);
    }
    for error in &checked.errors {
        tell(error);
    }
    Ok(ExitCode::from(BAD_CONFIG))
}
