//! How long a connection may be slow or silent.
//!
//! hyper's own header timeout also runs between two requests, so with it a keep-alive connection could not be idle for
//! longer than a header may take.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::lines::Lines;

#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From a request's first byte to the end of its headers.
    pub header: Duration,
    /// Between two requests, and before the first.
    pub idle: Duration,
}

/// Milliseconds since the connection began, and the phase that began then in the two lowest bits.
pub(super) struct Pace {
    began: Instant,
    phase: AtomicU64,
}

const IDLE: u64 = 0;
const READING: u64 = 1;
const ANSWERING: u64 = 2;
const PHASE: u64 = 0b11;

/// Answering has its own bounds in every stage; this is only when to look again.
const WHILE_ANSWERING: Duration = Duration::from_secs(30);

impl Pace {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), phase: AtomicU64::new(IDLE) }
    }

    pub(super) fn answering(&self) {
        self.enter(ANSWERING);
    }

    pub(super) fn idle(&self) {
        self.enter(IDLE);
    }

    fn heard(&self) {
        if self.phase.load(Ordering::Relaxed) & PHASE == IDLE {
            self.enter(READING);
        }
    }

    fn enter(&self, phase: u64) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.phase.store(millis << 2 | phase, Ordering::Relaxed);
    }

    pub(super) fn patience_until(&self, timeouts: Timeouts) -> Instant {
        let packed = self.phase.load(Ordering::Relaxed);
        let since = self.began + Duration::from_millis(packed >> 2);
        match packed & PHASE {
            IDLE => since + timeouts.idle,
            READING => since + timeouts.header,
            _ => Instant::now() + WHILE_ANSWERING,
        }
    }
}

/// A stream that tells its pace when something is heard on it, and that fails at a line feed that ends no line.
pub(super) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
    lines: Lines,
    broken: bool,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self { stream, pace, lines: Lines::default(), broken: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let heard = buf.filled().get(before..).unwrap_or_default();
        if !heard.is_empty() {
            self.pace.heard();
        }
        // What stands before it may be a whole request, whose answer says what is wrong with it.
        if let Some(at) = self.lines.bare_feed(heard) {
            self.broken = true;
            buf.set_filled(before + at);
            if at == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts { header: Duration::from_secs(5), idle: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn a_header_that_trickles_in_is_cut_off_and_a_silent_connection_only_later() {
        let pace = Pace::new();
        let is_out = || pace.patience_until(TIMEOUTS) <= Instant::now();
        tokio::time::advance(Duration::from_secs(50)).await;
        assert!(!is_out());
        pace.heard();
        tokio::time::advance(Duration::from_secs(4)).await;
        pace.heard();
        assert!(!is_out());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(is_out());
        pace.answering();
        tokio::time::advance(Duration::from_secs(500)).await;
        assert!(!is_out());
        pace.idle();
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(is_out());
    }
}
