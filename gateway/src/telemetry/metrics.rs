//! Metrics: OpenTelemetry instruments, read as Prometheus text and exported by OTLP.
//!
//! Every label comes from a closed set or from the configuration, so no pod can raise the number of series.
//! `deploy/METRICS.md` lists them all.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Counter, Histogram, Meter, MeterProvider},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};

use super::{Resource, otlp, process, traffic::Traffic};
use crate::{
    caller::Unidentified,
    config,
    credential::{FetchErrorKind, Observer},
    policy::{CountedAs, Decision, PluginAnswer, Step, Tally},
};

/// The kind of request that nearly every one is, answered with 200: it is recorded without a lookup of its labels.
struct Hot {
    method: &'static str,
    route: &'static str,
    bound: OnceLock<BoundHistogram<f64>>,
}

const HOT: [(&str, &str); 3] = [
    ("GET", "/latest/meta-data/iam/security-credentials/{role}"),
    ("GET", "/latest/meta-data/iam/security-credentials/"),
    ("PUT", "/latest/api/token"),
];

pub struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
    requests: Histogram<f64>,
    hot: [Hot; 3],
    refusals: Counter<u64>,
    caller_waits: Histogram<f64>,
    decisions: Counter<u64>,
    plugin_calls: Histogram<f64>,
    plugin_failures: Counter<u64>,
    audited: Counter<u64>,
    fetches: Histogram<f64>,
    renewal_lag: Histogram<f64>,
    pub(super) calls: Histogram<f64>,
    pub(super) upstream: Histogram<f64>,
    reloads: Counter<u64>,
    tally: Tally,
    traffic: Traffic,
}

#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up: {0}")]
pub struct MetricsError(pub(super) String);

/// From a cache hit (tens of microseconds) to the longest wait that any timeout allows.
const REQUEST_SECONDS: [f64; 13] = [2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0];
/// From a call to a Rust guest (6 µs) to a timeout.
const CALL_SECONDS: [f64; 10] = [1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 1e-3, 0.01, 0.05, 0.2, 1.0];
/// From an STS call in the same zone (20 ms) to the fetch deadline.
const FETCH_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];
/// From the node's own metadata service (1 ms) to its deadline.
const UPSTREAM_SECONDS: [f64; 9] = [1e-3, 2e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Metrics {
    /// Also exports to `otlp`, where that is given. It must then be called within a tokio runtime.
    pub(super) fn new(
        resource: &Resource,
        otlp: Option<&config::Otlp>,
        exports: &otlp::Exports,
    ) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let scraped = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(|error| MetricsError(error.to_string()))?;
        let mut provider = SdkMeterProvider::builder().with_resource(resource.0.clone()).with_reader(scraped);
        if let Some(to) = otlp {
            provider = provider.with_reader(otlp::metrics(to, exports)?);
        }
        let provider = provider.build();
        let meter = provider.meter(SCOPE);
        if otlp.is_some() {
            exports.watch(&meter, &[otlp::Signal::Metrics, otlp::Signal::Traces]);
        }
        process::watch(&meter);
        Ok(Self::of(registry, provider))
    }

    fn of(registry: Registry, provider: SdkMeterProvider) -> Self {
        let meter = provider.meter(SCOPE);
        let seconds = |name: &'static str, about: &'static str, bounds: &[f64]| {
            meter.f64_histogram(name).with_unit("s").with_description(about).with_boundaries(bounds.to_vec()).build()
        };
        let count = |name: &'static str, about: &'static str| meter.u64_counter(name).with_description(about).build();
        Self {
            hot: HOT.map(|(method, route)| Hot { method, route, bound: OnceLock::new() }),
            requests: seconds("http.server.request.duration", "Requests of pods.", &REQUEST_SECONDS),
            refusals: count("metagate.refusals", "Requests refused, by reason."),
            caller_waits: seconds(
                "metagate.caller.wait.duration",
                "Waits of requests that came before their pod was known.",
                &REQUEST_SECONDS,
            ),
            decisions: count("metagate.policy.decisions", "New decisions, by what ended them."),
            plugin_calls: seconds("metagate.plugin.call.duration", "Calls to plugins, by answer.", &CALL_SECONDS),
            plugin_failures: count("metagate.plugin.failures", "Calls to plugins that gave no valid answer."),
            audited: count(
                "metagate.policy.audited",
                "Answers that would have refused the request without audit mode.",
            ),
            fetches: seconds(
                "metagate.credential.fetch.duration",
                "Fetches from the source, by result.",
                &FETCH_SECONDS,
            ),
            renewal_lag: seconds(
                "metagate.credential.renewal_lag",
                "How long after its planned time a renewal came.",
                &FETCH_SECONDS,
            ),
            calls: seconds("rpc.client.call.duration", "Calls to AWS STS, with their retries.", &FETCH_SECONDS),
            upstream: seconds(
                "http.client.request.duration",
                "Requests to the node's own metadata service.",
                &UPSTREAM_SECONDS,
            ),
            reloads: count("metagate.reloads", "Reloads, by what was reloaded and by result."),
            tally: Tally::default(),
            traffic: Traffic::watched(&meter),
            registry,
            provider,
        }
    }

    /// Prometheus text format 0.0.4.
    pub fn text(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.map(|()| text).map_err(|error| MetricsError(error.to_string()))
    }

    pub fn meter(&self) -> Meter {
        self.provider.meter(SCOPE)
    }

    pub(super) fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }

    /// Recent requests of pods.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn request(&self, request: &Answered, took: Duration) {
        let seconds = took.as_secs_f64();
        let is_it = |hot: &&Hot| request.status == 200 && hot.method == request.method && hot.route == request.route;
        match (self.hot.iter().find(is_it), request.refused) {
            (Some(hot), _) => hot.bound.get_or_init(|| self.requests.bind(&request.labels())).record(seconds),
            // Only a failure of the server is an error; a refusal is a correct answer.
            (None, Some(reason)) if request.status >= 500 => {
                let [method, scheme, route, status] = request.labels();
                self.requests.record(seconds, &[method, scheme, route, status, KeyValue::new("error.type", reason)]);
            }
            (None, _) => self.requests.record(seconds, &request.labels()),
        }
        self.traffic.request(request.refused.is_some());
        if let Some(reason) = request.refused {
            self.refusals.add(1, &[KeyValue::new("reason", reason)]);
        }
    }

    pub(super) fn waited(&self, outcome: Option<Unidentified>, waited: Duration) {
        let outcome = outcome.map_or("found", Unidentified::label);
        self.caller_waits.record(waited.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    pub fn decision(&self, decision: &Decision) {
        let labels = |step: &Step| {
            [
                KeyValue::new("plugin", step.plugin.clone()),
                KeyValue::new("phase", step.phase.label()),
                KeyValue::new("answer", step.answer.label()),
            ]
        };
        for step in &decision.steps {
            self.plugin_calls.record(step.took.as_secs_f64(), &labels(step));
            if let PluginAnswer::Failed(fault) = &step.answer {
                let [plugin, phase, _] = labels(step);
                self.plugin_failures.add(1, &[plugin, phase, KeyValue::new("kind", fault.kind.label())]);
            }
        }
        let CountedAs { reason, audited } = self.tally.count(decision);
        for (step, code) in audited {
            let [plugin, phase, answer] = labels(step);
            self.audited.add(1, &[plugin, phase, answer, KeyValue::new("code", code)]);
        }
        self.decisions.add(
            1,
            &[
                KeyValue::new("phase", decision.ended_in().label()),
                KeyValue::new("outcome", decision.outcome.label()),
                KeyValue::new("plugin", decision.ended_by().to_owned()),
                KeyValue::new("reason", reason),
            ],
        );
    }

    /// Counts of the plugins' answers in decisions.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn reload(&self, what: &'static str, accepted: bool) {
        let result = if accepted { "accepted" } else { "refused" };
        self.reloads.add(1, &[KeyValue::new("what", what), KeyValue::new("result", result)]);
    }
}

/// The instrumentation scope of all instruments.
pub(super) const SCOPE: &str = "metagate";

/// A request as it ended.
pub(super) struct Answered {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) status: u16,
    /// The refusal's label.
    pub(super) refused: Option<&'static str>,
}

impl Answered {
    pub(super) fn labels(&self) -> [KeyValue; 4] {
        [
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("http.route", self.route),
            KeyValue::new("http.response.status_code", i64::from(self.status)),
        ]
    }
}

impl Observer for Metrics {
    fn hit(&self) {
        self.traffic.hit();
    }

    fn miss(&self) {
        self.traffic.miss();
    }

    fn fetched(&self, outcome: Result<(), FetchErrorKind>, elapsed: Duration) {
        let result = outcome.map_or_else(FetchErrorKind::label, |()| "ok");
        self.fetches.record(elapsed.as_secs_f64(), &[KeyValue::new("result", result)]);
        self.traffic.fetched(outcome);
    }

    fn renewed(&self, lag: Duration) {
        self.renewal_lag.record(lag.as_secs_f64(), &[]);
    }
}
