//! One HTTP/1 connection: limits, timeouts, drain.

use std::{convert::Infallible, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};

pub use self::{drain::Drain, pace::Timeouts};
use self::{
    drain::DrainWatch,
    pace::{Pace, Paced},
};
use crate::{
    caller::{Origin, standing},
    handle::{Gateway, handle},
    limits::{ConnectionPermit, Rate},
    roster::Standing,
};

mod drain;
mod lines;
mod pace;

/// Requests of SDKs are below 1 KiB; a percent-encoded role ARN may take 6.
const BUFFER_MAX: usize = 16 * 1024;
/// SDKs send fewer than 12.
const HEADERS_MAX: usize = 64;

/// What all connections have in common: one reference for each of them, and none for a request.
pub struct Serving {
    pub gateway: Arc<Gateway>,
    pub timeouts: Timeouts,
    pub drain: Drain,
}

/// Returns when the connection has ended. A drain lets the request under way finish, and ends the connection then.
pub async fn serve(serving: Arc<Serving>, stream: TcpStream, origin: Origin, place: ConnectionPermit) {
    let Serving { gateway, timeouts, drain } = &*serving;
    let pace = Pace::new();
    let answer = service_fn(|request: http::Request<Incoming>| async {
        pace.answering();
        if let Some(rate) = place.rate().filter(|rate| !rate.admits()) {
            // Boxed, as few requests need it.
            Box::pin(delay(rate, gateway, &origin)).await;
        }
        let (parts, body) = request.into_parts();
        let response = handle(gateway, &origin, &parts, !body.is_end_stream()).await;
        pace.idle();
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .max_buf_size(BUFFER_MAX)
        .max_headers(HEADERS_MAX)
        // As the real service writes them; some clients of it compare bytes.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(Paced::new(stream, &pace)), answer);
    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep_until(pace.patience_until(*timeouts)));
    let beginning = pin!(drain.beginning());
    let mut told = DrainWatch::of(drain, beginning);
    poll_fn(|cx| {
        if told.is_news(cx) {
            connection.as_mut().graceful_shutdown();
        }
        // Whatever ends it is the client's doing, and an answer that could not be written has been logged.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // What was just heard or answered has set another limit. A later one, which is the usual case, leaves the alarm as it
        // is: it is set anew when it has rung too early.
        let mut until = pace.patience_until(*timeouts);
        if until < alarm.deadline() {
            alarm.as_mut().reset(until);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(until);
            until = pace.patience_until(*timeouts);
        }
        Poll::Pending
    })
    .await;
}

/// A pod that asks too often waits, and so takes no time from those that do not.
async fn delay(rate: &Rate, gateway: &Gateway, origin: &Origin) {
    if rate.is_news() {
        let workload = match standing(&gateway.feed, origin) {
            Standing::Known(entry) => entry.workload.title(),
            Standing::Unknown | Standing::Absent | Standing::Ambiguous => "unknown".into(),
        };
        tracing::warn!(
            workload,
            address = %origin.address(),
            "asks more often than pods.max_requests_per_second_per_pod, so its requests wait"
        );
    }
    rate.turn().await;
}
