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

/// SDK requests are below 1 KiB; a percent-encoded role ARN may take 6 KiB.
const BUFFER_MAX: usize = 16 * 1024;
/// SDKs send fewer than 12.
const HEADERS_MAX: usize = 64;

/// What all connections share: each connection holds one reference to it, a request holds none.
pub struct Serving {
    pub gateway: Arc<Gateway>,
    pub timeouts: Timeouts,
    pub drain: Drain,
}

/// Returns when the connection has ended. On a drain the request in flight finishes, then the connection ends.
pub async fn serve(serving: Arc<Serving>, stream: TcpStream, origin: Origin, permit: ConnectionPermit) {
    let Serving { gateway, timeouts, drain } = &*serving;
    let pace = Pace::new();
    let answer = service_fn(|request: http::Request<Incoming>| async {
        pace.answering();
        if let Some(rate) = permit.rate().filter(|rate| !rate.admits()) {
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
        // As the real service writes them; some clients compare bytes.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(Paced::new(stream, &pace)), answer);
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(pace.deadline(*timeouts)));
    let beginning = pin!(drain.beginning());
    let mut drain_watch = DrainWatch::of(drain, beginning);
    poll_fn(|cx| {
        if drain_watch.take_begun(cx) {
            connection.as_mut().graceful_shutdown();
        }
        // Why the connection ended does not matter: the client left, it was drained, or an answer closed it. An answer that
        // could not be written has been logged.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // The bytes received or the answer given in this poll moved the deadline. An earlier deadline resets the timer.
        // A later one, the usual case, does not: the timer is reset when it fires too early.
        let mut deadline = pace.deadline(*timeouts);
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
            deadline = pace.deadline(*timeouts);
        }
        Poll::Pending
    })
    .await;
}

/// Delays a request of a pod over its rate, so that it takes no time from other pods.
async fn delay(rate: &Rate, gateway: &Gateway, origin: &Origin) {
    if rate.may_log() {
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
