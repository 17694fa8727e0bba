//! Metrics: OpenTelemetry instruments, read as Prometheus text.
//!
//! Every label comes from a closed set or from the configuration, so the series count has a bound that no pod can move.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, MeterProvider},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};

use crate::{
    credential::Observer,
    policy::{Decision, Step, Tally},
    source::FaultClass,
};

pub struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
    requests: Histogram<f64>,
    refusals: Counter<u64>,
    v1_requests: Counter<u64>,
    decisions: Counter<u64>,
    plugin_calls: Histogram<f64>,
    audited: Counter<u64>,
    credential_reads: Counter<u64>,
    fetches: Histogram<f64>,
    renewal_lag: Histogram<f64>,
    reloads: Counter<u64>,
    tally: Tally,
}

#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up: {0}")]
pub struct MetricsError(String);

/// From a hit (tens of microseconds) to the longest wait that any timeout allows.
const REQUEST_SECONDS: [f64; 13] = [2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0];
/// From a call of a Rust guest (6 µs) to a timeout.
const CALL_SECONDS: [f64; 10] = [1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 1e-3, 0.01, 0.05, 0.2, 1.0];
/// From an STS call in the same zone (20 ms) to the fetch deadline.
const FETCH_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

impl Metrics {
    pub(super) fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(|error| MetricsError(error.to_string()))?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("metagate");
        let seconds = |name: &'static str, about: &'static str, bounds: &[f64]| {
            meter.f64_histogram(name).with_unit("s").with_description(about).with_boundaries(bounds.to_vec()).build()
        };
        let count = |name: &'static str, about: &'static str| meter.u64_counter(name).with_description(about).build();
        Ok(Self {
            requests: seconds("http.server.request.duration", "Requests of pods.", &REQUEST_SECONDS),
            refusals: count("metagate.refusals", "Requests refused, by reason."),
            v1_requests: count("metagate.imds.v1_requests", "Requests without a session token (IMDSv1)."),
            decisions: count("metagate.policy.decisions", "Decisions worked out, by outcome."),
            plugin_calls: seconds("metagate.plugin.call.duration", "Calls of plugins, by answer.", &CALL_SECONDS),
            audited: count("metagate.policy.audited", "Answers that would have refused, were it not for audit mode."),
            credential_reads: count("metagate.credential.reads", "Reads of the credential store: hit or miss."),
            fetches: seconds(
                "metagate.credential.fetch.duration",
                "Fetches from the source, by result.",
                &FETCH_SECONDS,
            ),
            renewal_lag: seconds("metagate.credential.renewal_lag", "How late a renewal came.", &FETCH_SECONDS),
            reloads: count("metagate.reloads", "Reloads, by what and result."),
            tally: Tally::default(),
            registry,
            provider,
        })
    }

    /// Prometheus text format 0.0.4.
    pub fn text(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.map(|()| text).map_err(|error| MetricsError(error.to_string()))
    }

    /// A gauge that is read when somebody looks.
    pub fn watch(
        &self,
        name: &'static str,
        unit: &'static str,
        about: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        let meter = self.provider.meter("metagate");
        let gauge = meter.f64_observable_gauge(name).with_unit(unit).with_description(about);
        gauge.with_callback(move |observer| read().into_iter().for_each(|value| observer.observe(value, &[]))).build();
    }

    pub(super) fn request(&self, ask: &'static str, status: u16, outcome: &'static str, took: Duration) {
        let labels = [KeyValue::new("http.route", ask), KeyValue::new("http.response.status_code", i64::from(status))];
        self.requests.record(took.as_secs_f64(), &labels);
        if status >= 400 {
            self.refusals.add(1, &[KeyValue::new("reason", outcome)]);
        }
    }

    pub(super) fn v1_request(&self) {
        self.v1_requests.add(1, &[]);
    }

    pub fn decision(&self, decision: &Decision) {
        self.decisions.add(1, &[KeyValue::new("outcome", decision.outcome.label())]);
        let labels = |step: &Step| {
            [
                KeyValue::new("plugin", step.plugin.clone()),
                KeyValue::new("phase", step.phase.label()),
                KeyValue::new("answer", step.said.label()),
            ]
        };
        for step in &decision.steps {
            self.plugin_calls.record(step.took.as_secs_f64(), &labels(step));
        }
        for (step, code) in self.tally.count(decision) {
            let [plugin, phase, answer] = labels(step);
            self.audited.add(1, &[plugin, phase, answer, KeyValue::new("code", code)]);
        }
    }

    /// What the decisions' plugins have answered.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn reload(&self, what: &'static str, accepted: bool) {
        let result = if accepted { "accepted" } else { "refused" };
        self.reloads.add(1, &[KeyValue::new("what", what), KeyValue::new("result", result)]);
    }
}

impl Observer for Metrics {
    fn hit(&self) {
        self.credential_reads.add(1, &[KeyValue::new("result", "hit")]);
    }

    fn miss(&self) {
        self.credential_reads.add(1, &[KeyValue::new("result", "miss")]);
    }

    fn fetched(&self, outcome: Result<(), FaultClass>, elapsed: Duration) {
        let result = outcome.map_or_else(FaultClass::label, |()| "ok");
        self.fetches.record(elapsed.as_secs_f64(), &[KeyValue::new("result", result)]);
    }

    fn renewed(&self, lag: Duration) {
        self.renewal_lag.record(lag.as_secs_f64(), &[]);
    }
}
