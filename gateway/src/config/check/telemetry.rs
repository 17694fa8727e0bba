//! What is logged and where telemetry goes.

use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{Bounds, Checker, Key, bounds, nearest, quote, raw};
use crate::config::{LogFormat, Otlp, OtlpProtocol, Telemetry};

const METRICS_INTERVAL: Bounds<Duration> =
    bounds(Duration::from_secs(1)..=Duration::from_secs(3600), "the dashboards expect about 30s");

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Checker<'_, '_> {
    pub(super) fn telemetry(&mut self, raw: &raw::Telemetry) -> Option<Telemetry> {
        let at = |name| Key::dotted("telemetry").name(name);
        let log_format =
            self.choice(&at("log_format"), &raw.log_format, [("json", LogFormat::Json), ("text", LogFormat::Text)]);
        let log_level = self.log_level(&at("log_level"), &raw.log_level);
        let otlp = self.otlp(raw);
        Some(Telemetry { log_format: log_format?, log_level: log_level?, cluster: raw.cluster.clone(), otlp: otlp? })
    }

    fn otlp(&mut self, raw: &raw::Telemetry) -> Option<Option<Otlp>> {
        let at = |name| Key::dotted("telemetry").name(name);
        let endpoint = self.optional_url(&at("otlp_endpoint"), &raw.otlp_endpoint);
        let protocols = [("http", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)];
        let protocol = self.choice(&at("otlp_protocol"), &raw.otlp_protocol, protocols);
        let interval = self.duration(&at("metrics_interval"), &raw.metrics_interval, &METRICS_INTERVAL);
        let trace_ratio = self.ratio(&at("trace_ratio"), raw.trace_ratio);
        let (protocol, metrics_interval, trace_ratio) = (protocol?, interval?, trace_ratio?);
        Some(endpoint?.map(|endpoint| Otlp { endpoint, protocol, metrics_interval, trace_ratio }))
    }

    fn ratio(&mut self, key: &Key, written: f64) -> Option<f64> {
        if (0.0..=1.0).contains(&written) {
            return Some(written);
        }
        self.collector.refuse(
            key,
            format!("expected a ratio from 0.0 to 1.0, found {written}"),
            "0.01 traces one request in a hundred",
        );
        None
    }

    fn log_level(&mut self, key: &Key, written: &str) -> Option<String> {
        let help = "write \"info\", or a filter such as \"info,metagate::policy=debug\"";
        if written.trim().is_empty() || EnvFilter::builder().parse(written).is_err() {
            self.collector.refuse(key, format!("expected a level or a filter, found {}", quote(written)), help);
            return None;
        }
        if let Some(word) = bare_word(written) {
            let near = nearest(&word.to_ascii_lowercase(), LEVELS);
            let help = near.map_or_else(
                || format!("a module's name needs a level: {word}=debug"),
                |near| format!("did you mean \"{near}\"?"),
            );
            self.collector.refuse(key, format!("{} is not a log level", quote(word)), help);
            return None;
        }
        Some(written.to_owned())
    }
}

/// The filter takes a word that is not a log level for a module's name: a misspelt level would switch off all logs. Filters
/// by span may contain commas, and only the filter's own parser judges them.
fn bare_word(filter: &str) -> Option<&str> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let mut words = filter.split(',').map(str::trim);
    if filter.contains('[') {
        None
    } else {
        words.find(|word| !word.is_empty() && !word.contains('=') && !is_level(word))
    }
}
