//! Exports by OTLP, over HTTP or gRPC.
//!
//! The SDK exports on threads of its own, which have no reactor: hyper and tonic panic there. So every poll of an
//! export enters the gateway's runtime, which also gives it its timeout. A collector that hangs blocks these threads
//! and nothing else; new data waits in bounded queues meanwhile, and is dropped once they are full.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task,
    time::Duration,
};

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::{KeyValue, metrics::Meter};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{BatchConfigBuilder as LogBatches, BatchLogProcessor, LogBatch, SdkLoggerProvider},
    metrics::{PeriodicReader, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{BatchConfigBuilder as SpanBatches, BatchSpanProcessor, SdkTracerProvider, SpanData},
};
use tokio::runtime::Handle;

use super::metrics::MetricsError;
use crate::config::{Otlp, OtlpProtocol, redact};

/// The timeout of one attempt, and of all attempts together; OTLP's own default (OpenTelemetry specification,
/// "Exporter", timeout).
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Spans and log records that wait to be exported, each kind by itself: some 2 MiB at most.
const QUEUE: usize = 2048;
const BATCH: usize = 512;
/// How long a span or log record waits for its batch to fill.
const DELAY: Duration = Duration::from_secs(2);

/// The results of the exports of each signal, in the order of [`Signal`].
#[derive(Clone, Debug, Default)]
pub(super) struct Exports(Arc<[Ended; 3]>);

#[derive(Debug, Default)]
struct Ended {
    ok: AtomicU64,
    failed: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Metrics,
    Traces,
    Logs,
}

impl Signal {
    fn label(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// OTLP/HTTP, "OTLP/HTTP Request": each signal's own path below the endpoint.
    fn path(self) -> &'static str {
        match self {
            Self::Metrics => "v1/metrics",
            Self::Traces => "v1/traces",
            Self::Logs => "v1/logs",
        }
    }
}

impl Exports {
    /// Counts the exports of these signals, as a counter of `meter`.
    pub(super) fn watch(&self, meter: &Meter, signals: &'static [Signal]) {
        let exports = self.clone();
        meter
            .u64_observable_counter("metagate.telemetry.exports")
            .with_description("Exports to the collector, by signal and result.")
            .with_callback(move |observer| {
                for signal in signals {
                    let ended = exports.of(*signal);
                    for (result, count) in [("ok", &ended.ok), ("failed", &ended.failed)] {
                        let labels = [KeyValue::new("signal", signal.label()), KeyValue::new("result", result)];
                        observer.observe(count.load(Ordering::Relaxed), &labels);
                    }
                }
            })
            .build();
    }

    fn of(&self, signal: Signal) -> &Ended {
        let [metrics, traces, logs] = &*self.0;
        match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }

    fn count(&self, signal: Signal, result: &OTelSdkResult) {
        let ended = self.of(signal);
        let count = if result.is_ok() { &ended.ok } else { &ended.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// An exporter whose exports run on the gateway's runtime, with a timeout.
#[derive(Debug)]
struct Hosted<E> {
    exporter: E,
    signal: Signal,
    runtime: Handle,
    exports: Exports,
}

impl<E> Hosted<E> {
    /// Must be called within a tokio runtime.
    fn new(exporter: E, signal: Signal, exports: &Exports) -> Self {
        Self { exporter, signal, runtime: Handle::current(), exports: exports.clone() }
    }

    async fn export(&self, export: impl Future<Output = OTelSdkResult> + Send) -> OTelSdkResult {
        let bounded = async {
            let ended = tokio::time::timeout(EXPORT_TIMEOUT, export).await;
            ended.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)))
        };
        let result = Entered { runtime: &self.runtime, inner: Box::pin(bounded) }.await;
        self.exports.count(self.signal, &result);
        result
    }
}

/// A future that finds the runtime's reactor and timer wherever it is polled.
struct Entered<'a, F> {
    runtime: &'a Handle,
    inner: Pin<Box<F>>,
}

impl<F: Future> Future for Entered<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let Self { runtime, inner } = self.get_mut();
        let _entered = runtime.enter();
        inner.as_mut().poll(cx)
    }
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for Hosted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.export(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: opentelemetry_sdk::logs::LogExporter> opentelemetry_sdk::logs::LogExporter for Hosted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.export(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Hosted<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.export(self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Must be called within a tokio runtime, like those below.
pub(super) fn metrics(otlp: &Otlp, exports: &Exports) -> Result<PeriodicReader<impl PushMetricExporter>, MetricsError> {
    let exporter = match otlp.protocol {
        OtlpProtocol::Http => http(MetricExporter::builder().with_http(), otlp, Signal::Metrics)?.build(),
        OtlpProtocol::Grpc => grpc(MetricExporter::builder().with_tonic(), otlp).build(),
    };
    let exporter = Hosted::new(exporter.map_err(|error| unbuilt(otlp, &error))?, Signal::Metrics, exports);
    Ok(PeriodicReader::builder(exporter).with_interval(otlp.metrics_interval).build())
}

pub(super) fn traces(otlp: &Otlp, resource: Resource, exports: &Exports) -> Result<SdkTracerProvider, MetricsError> {
    let exporter = match otlp.protocol {
        OtlpProtocol::Http => http(SpanExporter::builder().with_http(), otlp, Signal::Traces)?.build(),
        OtlpProtocol::Grpc => grpc(SpanExporter::builder().with_tonic(), otlp).build(),
    };
    let exporter = Hosted::new(exporter.map_err(|error| unbuilt(otlp, &error))?, Signal::Traces, exports);
    let batches = SpanBatches::default().with_max_queue_size(QUEUE).with_max_export_batch_size(BATCH);
    let batches = batches.with_scheduled_delay(DELAY).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build())
}

pub(super) fn logs(otlp: &Otlp, resource: Resource, exports: &Exports) -> Result<SdkLoggerProvider, MetricsError> {
    let exporter = match otlp.protocol {
        OtlpProtocol::Http => http(LogExporter::builder().with_http(), otlp, Signal::Logs)?.build(),
        OtlpProtocol::Grpc => grpc(LogExporter::builder().with_tonic(), otlp).build(),
    };
    let exporter = Hosted::new(exporter.map_err(|error| unbuilt(otlp, &error))?, Signal::Logs, exports);
    let batches = LogBatches::default().with_max_queue_size(QUEUE).with_max_export_batch_size(BATCH);
    let batches = batches.with_scheduled_delay(DELAY).build();
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(batches).build();
    Ok(SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build())
}

fn http<B: WithExportConfig + WithHttpConfig>(builder: B, otlp: &Otlp, signal: Signal) -> Result<B, MetricsError> {
    let endpoint = format!("{}/{}", otlp.endpoint.trim_end_matches('/'), signal.path());
    let builder = builder.with_protocol(Protocol::HttpBinary).with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT);
    if !otlp.endpoint.starts_with("https:") {
        return Ok(builder.with_http_client(HyperClient::with_default_connector(EXPORT_TIMEOUT, None)));
    }
    // Only for https: an image without certificates can still export to a collector of its cluster by http.
    let roots = HttpsConnectorBuilder::new().with_native_roots().map_err(|error| MetricsError(error.to_string()))?;
    Ok(builder.with_http_client(HyperClient::new(roots.https_only().enable_http1().build(), EXPORT_TIMEOUT, None)))
}

fn grpc<B: WithExportConfig + WithTonicConfig>(builder: B, otlp: &Otlp) -> B {
    let builder = builder.with_endpoint(&otlp.endpoint).with_timeout(EXPORT_TIMEOUT);
    if otlp.endpoint.starts_with("https:") {
        builder.with_tls_config(ClientTlsConfig::new().with_native_roots())
    } else {
        builder
    }
}

fn unbuilt(otlp: &Otlp, error: &ExporterBuildError) -> MetricsError {
    let message = error.to_string().replace(&otlp.endpoint, &redact::url(&otlp.endpoint));
    MetricsError(format!("telemetry.otlp_endpoint: {message}"))
}
