//! One HTTP/1 connection: limits, timeouts, drain.

use std::{convert::Infallible, future::poll_fn, sync::Arc, task::Poll};

use hyper::{body::Body, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::sleep_until};
use tokio_util::sync::CancellationToken;

pub use self::pace::Timeouts;
use self::pace::{Pace, Paced};
use crate::{
    caller::Origin,
    handle::{Gateway, handle},
};

mod lines;
mod pace;

/// Requests of SDKs are below 1 KiB; a percent-encoded role ARN may take 6.
const BUFFER_MAX: usize = 16 * 1024;
/// SDKs send fewer than 12.
const HEADERS_MAX: usize = 64;

/// Returns when the connection has ended. `drain` lets the request under way finish, and ends the connection then.
pub async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    origin: Origin,
    timeouts: Timeouts,
    drain: CancellationToken,
) {
    let pace = Arc::new(Pace::new());
    let seen = Arc::clone(&pace);
    let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (gateway, origin, seen) = (Arc::clone(&gateway), origin.clone(), Arc::clone(&seen));
        async move {
            seen.answering();
            let (parts, body) = request.into_parts();
            let response = handle(&gateway, &origin, &parts, !body.is_end_stream()).await;
            seen.idle();
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(BUFFER_MAX)
        .max_headers(HEADERS_MAX)
        // As the real service writes them; some clients of it compare bytes.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(Paced::new(stream, Arc::clone(&pace))), answer);
    tokio::pin!(connection);
    let alarm = sleep_until(pace.patience_until(timeouts));
    tokio::pin!(alarm);
    let mut draining = false;
    loop {
        let ended = poll_fn(|cx| {
            // Whatever ends it is the client's doing, and an answer that could not be written has been logged.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // What was just heard or answered has set another limit. Later is the usual case, and costs no lock.
            alarm.as_mut().reset(pace.patience_until(timeouts));
            alarm.as_mut().poll(cx)
        });
        tokio::select! {
            () = ended => return,
            () = drain.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
