//! How long a connection may be slow or silent.
//!
//! hyper's own header timeout also runs between two requests, so an idle keep-alive connection could not last longer
//! than a header may take.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
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

/// What the connection waits for, and since when. Its two users, the stream and the service, belong to one task.
pub(super) struct Pace {
    phase: AtomicU8,
    /// When the phase was first read, at the end of the poll in which it began; in milliseconds since the connection
    /// began.
    since: AtomicU64,
    began: Instant,
}

const IDLE: u8 = 0;
const READING: u8 = 1;
const ANSWERING: u8 = 2;
/// Set until the phase is first read.
const NEW: u8 = 0b100;

/// Each stage of an answer has its own timeout; this is only when to check again.
const WHILE_ANSWERING: Duration = Duration::from_secs(30);

impl Pace {
    pub(super) fn new() -> Self {
        Self { phase: AtomicU8::new(IDLE), since: AtomicU64::new(0), began: Instant::now() }
    }

    pub(super) fn answering(&self) {
        self.enter(ANSWERING);
    }

    pub(super) fn idle(&self) {
        self.enter(IDLE);
    }

    fn received(&self) {
        if self.phase.load(Ordering::Relaxed) & !NEW == IDLE {
            self.enter(READING);
        }
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase | NEW, Ordering::Relaxed);
    }

    /// Called at the end of each poll. Most requests are read and answered within one poll, so the clock is read once
    /// for all their phases.
    pub(super) fn deadline(&self, timeouts: Timeouts) -> Instant {
        let phase = self.phase.load(Ordering::Relaxed);
        if phase & NEW != 0 {
            let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.since.store(now, Ordering::Relaxed);
            self.phase.store(phase & !NEW, Ordering::Relaxed);
        }
        let since = self.began + Duration::from_millis(self.since.load(Ordering::Relaxed));
        match phase & !NEW {
            IDLE => since + timeouts.idle,
            READING => since + timeouts.header,
            _ => Instant::now() + WHILE_ANSWERING,
        }
    }
}

/// A stream that reports received bytes to its pace, and that fails at a line feed without a carriage return.
pub(super) struct Paced<'a, S> {
    stream: S,
    pace: &'a Pace,
    lines: Lines,
    broken: bool,
}

impl<'a, S> Paced<'a, S> {
    pub(super) fn new(stream: S, pace: &'a Pace) -> Self {
        Self { stream, pace, lines: Lines::default(), broken: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let received = buf.filled().get(before..).unwrap_or_default();
        if !received.is_empty() {
            self.pace.received();
        }
        // The bytes before the line feed may be a whole request, whose answer then says what is wrong with it.
        if let Some(at) = self.lines.bare_feed(received) {
            self.broken = true;
            buf.set_filled(before + at);
            if at == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<'_, S> {
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
        // As at the end of a poll.
        let is_out = || pace.deadline(TIMEOUTS) <= Instant::now();
        assert!(!is_out());
        tokio::time::advance(Duration::from_secs(50)).await;
        assert!(!is_out());
        pace.received();
        assert!(!is_out());
        tokio::time::advance(Duration::from_secs(4)).await;
        pace.received();
        assert!(!is_out());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(is_out());
        pace.answering();
        tokio::time::advance(Duration::from_secs(500)).await;
        assert!(!is_out());
        pace.idle();
        assert!(!is_out());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(is_out());
    }
}
