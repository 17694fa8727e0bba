//! Structured logs, on standard error, as standard output is for data. They are also sent by OTLP, where there is a
//! collector.

use std::io::IsTerminal;

use opentelemetry::{KeyValue, metrics::Meter};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing::{Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, filter::FilterFn, fmt, layer::SubscriberExt, registry::LookupSpan};

use super::{MetricsError, Resource, flush, otlp};
use crate::config::{Config, LogFormat};

/// The last lines are written when this is dropped.
pub struct Log {
    exported: Option<SdkLoggerProvider>,
    exports: otlp::Exports,
    dropped: ErrorCounter,
    _worker: WorkerGuard,
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("telemetry.log_level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error(transparent)]
    Export(#[from] MetricsError),
    #[error("a log was set up already")]
    Twice,
}

/// The crates that an export runs through: exporting their log lines would never end.
const EXPORTERS: [&str; 6] = ["hyper", "h2", "tonic", "tower", "rustls", "opentelemetry"];

/// A log that nobody reads must not stop a pod's request, so once 8,192 lines (some 4 MiB) wait to be written, further
/// lines are dropped. Must be called within a tokio runtime where the configuration names a collector.
pub fn init(config: &Config) -> Result<Log, LogError> {
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(8192)
        .thread_name("log")
        .finish(std::io::stderr());
    let exports = otlp::Exports::default();
    let exported = match &config.telemetry.otlp {
        Some(otlp) => Some(otlp::logs(otlp, Resource::of(config).0, &exports)?),
        None => None,
    };
    let dropped = writer.error_counter();
    let mut filter = EnvFilter::builder().parse(&config.telemetry.log_level)?;
    // Below info an exporter logs its URL, which may hold a password, and the collector's answers.
    for exporter in ["opentelemetry-otlp", "opentelemetry-http", "opentelemetry-sdk"] {
        filter = filter.add_directive(format!("{exporter}=info").parse()?);
    }
    let bridge = exported.as_ref().map(|provider| {
        OpenTelemetryTracingBridge::new(provider).with_filter(FilterFn::new(|metadata| !is_from_an_export(metadata)))
    });
    let subscriber = tracing_subscriber::registry().with(filter).with(bridge);
    let set = match config.telemetry.log_format {
        LogFormat::Json => tracing::subscriber::set_global_default(subscriber.with(json(writer))),
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.with(text(writer))),
    };
    set.map_err(|_| LogError::Twice)?;
    Ok(Log { exported, exports, dropped, _worker: worker })
}

fn json<S: Subscriber + for<'a> LookupSpan<'a>>(writer: NonBlocking) -> impl Layer<S> {
    fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(writer)
}

fn text<S: Subscriber + for<'a> LookupSpan<'a>>(writer: NonBlocking) -> impl Layer<S> {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    fmt::layer().with_ansi(colour).with_writer(writer)
}

fn is_from_an_export(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    EXPORTERS.iter().any(|exporter| target.starts_with(exporter))
}

impl Log {
    /// Counts the lines that were dropped, and the results of exports, as counters of `meter`.
    pub fn watch(&self, meter: &Meter) {
        let dropped = self.dropped.clone();
        meter
            .u64_observable_counter("metagate.telemetry.dropped")
            .with_description("Log lines that were dropped because nobody read them in time.")
            .with_callback(move |observer| {
                observer.observe(dropped.dropped_lines() as u64, &[KeyValue::new("signal", "log-lines")]);
            })
            .build();
        if self.exported.is_some() {
            self.exports.watch(meter, &[otlp::Signal::Logs]);
        }
    }

    /// Exports what was not exported yet, within a few seconds.
    pub async fn flush(&self) {
        if let Some(provider) = self.exported.clone() {
            flush(move || provider.shutdown()).await;
        }
    }
}
