//! Structured logs, on standard error: standard output is for data.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Telemetry};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("telemetry.log_level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("a log was set up already")]
    Twice,
}

/// The last lines are written when the guard is dropped.
///
/// A log that nobody reads must not stop a pod's request, so lines are dropped rather than waited for once 8,192 of them
/// wait: some 4 MiB.
pub fn init(config: &Telemetry) -> Result<WorkerGuard, LogError> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(8192)
        .thread_name("log")
        .finish(std::io::stderr());
    let filter = EnvFilter::builder().parse(&config.log_level)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let set = match config.log_format {
        LogFormat::Json => {
            let subscriber = log.json().flatten_event(true).with_current_span(false).with_span_list(false).finish();
            tracing::subscriber::set_global_default(subscriber)
        }
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            tracing::subscriber::set_global_default(log.with_ansi(colour).finish())
        }
    };
    set.map_err(|_| LogError::Twice)?;
    Ok(guard)
}
