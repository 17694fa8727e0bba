//! The names of metrics, spans and fields. Logic fills a record; telemetry turns it into counters, spans and one line.
//! Gauges that are read from other parts at a scrape are in `app::gauges`.

mod log;
mod metrics;
mod otlp;
mod outgoing;
mod process;
mod record;
mod refusals;
mod traces;
mod traffic;

pub use log::{Log, LogError, init as init_log};
pub use metrics::{Metrics, MetricsError};
pub use outgoing::{ImdsRequests, StsCalls};
pub use record::{Protocol, Record};
pub use refusals::{RecentRefusal, Refusals};
pub use traces::Traces;
pub use traffic::{Interval, SourceHealth, Traffic};

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::request::Parts;
use opentelemetry::KeyValue;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::sync::oneshot;

use crate::{caller::Origin, config::Config, kubernetes::events::EventSender};

#[derive(Clone)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    traces: Traces,
    refusals: Arc<Refusals>,
    events: EventSender,
}

/// The OpenTelemetry resource of everything that is exported.
pub(crate) struct Resource(opentelemetry_sdk::Resource);

/// The longest wait at exit for the last exports. Kubernetes gives 30 s in all, of which requests in flight may have
/// taken 10 s.
const FLUSH: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Refusals are sent to `events` too. Must be called within a tokio runtime where the configuration names a
    /// collector.
    pub fn new(config: &Config, events: EventSender) -> Result<Self, MetricsError> {
        let resource = Resource::of(config);
        let exports = otlp::Exports::default();
        let metrics = Metrics::new(&resource, config.telemetry.otlp.as_ref(), &exports)?;
        let traces = match &config.telemetry.otlp {
            Some(otlp) => Traces::new(otlp::traces(otlp, resource.0.clone(), &exports)?, otlp.trace_ratio),
            None => Traces::default(),
        };
        Ok(Self { metrics: Arc::new(metrics), traces, refusals: Arc::default(), events })
    }

    /// For commands that answer and exit: nothing is exported.
    pub fn unexported() -> Result<Self, MetricsError> {
        let resource = Resource(opentelemetry_sdk::Resource::builder_empty().build());
        let metrics = Metrics::new(&resource, None, &otlp::Exports::default())?;
        let (traces, events) = (Traces::default(), EventSender::default());
        Ok(Self { metrics: Arc::new(metrics), traces, refusals: Arc::default(), events })
    }

    pub fn events(&self) -> &EventSender {
        &self.events
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub fn sts_calls(&self) -> StsCalls {
        StsCalls::of(&self.metrics, &self.traces)
    }

    pub fn imds_requests(&self) -> ImdsRequests {
        ImdsRequests::of(&self.metrics)
    }

    /// A request's record; it is written when it is dropped, however the request ends.
    pub fn record(&self, origin: &Origin, parts: &Parts) -> Record<'_> {
        Record::begin(self, origin, parts)
    }

    /// Exports what was not exported yet, within a few seconds.
    pub async fn flush(&self) {
        let (metrics, traces) = (Arc::clone(&self.metrics), self.traces.clone());
        flush(move || {
            let spans = traces.provider().map_or(Ok(()), |provider| provider.shutdown_with_timeout(FLUSH));
            spans.and(metrics.provider().shutdown_with_timeout(FLUSH))
        })
        .await;
    }
}

/// Runs on a thread of its own: it blocks, and an export that hangs must not keep the process from exiting.
async fn flush(work: impl FnOnce() -> OTelSdkResult + Send + 'static) {
    let (done, result) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("flush".into()).spawn(move || drop(done.send(work())));
    let ended = match spawned {
        Ok(_) => tokio::time::timeout(FLUSH, result).await.unwrap_or(Ok(Err(OTelSdkError::Timeout(FLUSH)))),
        Err(error) => Ok(Err(OTelSdkError::InternalFailure(error.to_string()))),
    };
    if let Ok(Err(error)) = ended {
        tracing::warn!(%error, "not all telemetry was exported");
    }
}

impl Resource {
    /// OpenTelemetry's names; `OTEL_RESOURCE_ATTRIBUTES` adds to them.
    pub(crate) fn of(config: &Config) -> Self {
        let named = [("k8s.node.name", &config.roster.node), ("k8s.cluster.name", &config.telemetry.cluster)];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        let builder = opentelemetry_sdk::Resource::builder()
            .with_service_name("metagate")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance()))
            .with_attributes(named.map(|(name, value)| KeyValue::new(name, value.clone())));
        Self(builder.build())
    }
}

/// One id for everything that this process exports.
fn instance() -> &'static str {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    INSTANCE.get_or_init(|| format!("{:032x}", rand::random::<u128>()))
}
