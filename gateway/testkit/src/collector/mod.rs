//! An OpenTelemetry collector over HTTP or gRPC that stores what it receives, decoded by OpenTelemetry's own
//! definitions. It can be made to hang, and stops when it is dropped.

mod grpc;
mod http;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Received>,
    arrived: Notify,
    hangs: AtomicBool,
    requests: AtomicUsize,
}

/// What was received, unchanged.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub metrics: Vec<ExportMetricsServiceRequest>,
    pub traces: Vec<ExportTraceServiceRequest>,
    pub logs: Vec<ExportLogsServiceRequest>,
}

impl Collector {
    /// OTLP/HTTP in binary protobuf.
    pub async fn http() -> io::Result<Self> {
        Self::serve(|listener, shared| tokio::spawn(http::serve(listener, shared))).await
    }

    pub async fn grpc() -> io::Result<Self> {
        Self::serve(|listener, shared| tokio::spawn(grpc::serve(listener, shared))).await
    }

    async fn serve(serve: impl FnOnce(TcpListener, Arc<Shared>) -> JoinHandle<()>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let serving = serve(listener, Arc::clone(&shared));
        Ok(Self { address, shared, serving })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on requests are read and never answered.
    pub fn hang(&self) {
        self.shared.hangs.store(true, Ordering::Relaxed);
    }

    /// The number of requests received, answered or not.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    pub fn received(&self) -> Received {
        self.shared.received().clone()
    }

    /// Returns what was received once it is as `wanted`.
    pub async fn until(&self, wanted: impl Fn(&Received) -> bool) -> Received {
        loop {
            let arrived = self.shared.arrived.notified();
            let received = self.received();
            if wanted(&received) {
                return received;
            }
            arrived.await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never returns while the collector hangs.
    async fn take(&self, keep: impl FnOnce(&mut Received)) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        keep(&mut self.received());
        self.arrived.notify_waiters();
    }
}

impl Received {
    pub fn spans(&self) -> Vec<Span> {
        let scopes = self.traces.iter().flat_map(|request| &request.resource_spans).flat_map(|of| &of.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub fn records(&self) -> Vec<LogRecord> {
        let scopes = self.logs.iter().flat_map(|request| &request.resource_logs).flat_map(|of| &of.scope_logs);
        scopes.flat_map(|scope| scope.log_records.clone()).collect()
    }

    /// Every export of that metric.
    pub fn metric(&self, name: &str) -> Vec<Metric> {
        let resources = self.metrics.iter().flat_map(|request| &request.resource_metrics);
        let metrics = resources.flat_map(|of| &of.scope_metrics).flat_map(|scope| &scope.metrics);
        metrics.filter(|metric| metric.name == name).cloned().collect()
    }

    /// The resource of each request.
    pub fn resources(&self) -> Vec<Resource> {
        let traces = self.traces.iter().flat_map(|request| &request.resource_spans).map(|of| &of.resource);
        let metrics = self.metrics.iter().flat_map(|request| &request.resource_metrics).map(|of| &of.resource);
        let logs = self.logs.iter().flat_map(|request| &request.resource_logs).map(|of| &of.resource);
        traces.chain(metrics).chain(logs).flatten().cloned().collect()
    }
}

/// An attribute as text; empty if it is missing.
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()).and_then(|AnyValue { value }| value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        _ => String::new(),
    }
}
