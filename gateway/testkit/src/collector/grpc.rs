//! OTLP/gRPC: a service for each signal.

use std::sync::Arc;

use futures_util::stream;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::Server};

use super::Shared;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let incoming = stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let services = Server::builder()
        .add_service(MetricsServiceServer::from_arc(Arc::clone(&shared)))
        .add_service(TraceServiceServer::from_arc(Arc::clone(&shared)))
        .add_service(LogsServiceServer::from_arc(shared));
    // The server ends when the collector is dropped.
    let _ = services.serve_with_incoming(incoming).await;
}

#[tonic::async_trait]
impl MetricsService for Shared {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take(|received| received.metrics.push(request.into_inner())).await;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(|received| received.traces.push(request.into_inner())).await;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Shared {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.take(|received| received.logs.push(request.into_inner())).await;
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
