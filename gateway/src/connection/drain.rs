//! How connections learn that the gateway is stopping.
//!
//! Each connection checks this at every poll. A cancellation token takes two locks per check, which all connections
//! share; this takes one atomic load.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

use tokio::sync::{Notify, futures::Notified};

/// Tells all connections once that the drain has begun. Cheap to clone.
#[derive(Clone, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Default)]
struct Shared {
    begun: AtomicBool,
    waiting: Notify,
}

impl Drain {
    pub fn begin(&self) {
        // Set before the waiting tasks are woken, so that they see it.
        self.0.begun.store(true, Ordering::Release);
        self.0.waiting.notify_waiters();
    }

    fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Completes when the drain begins, if that is after this call.
    pub(super) fn beginning(&self) -> Notified<'_> {
        self.0.waiting.notified()
    }
}

/// One connection's view of the drain.
pub(super) struct DrainWatch<'p, 'd> {
    drain: &'d Drain,
    beginning: Pin<&'p mut Notified<'d>>,
    /// Woken when the drain begins.
    waker: Option<Waker>,
    reported: bool,
}

impl<'p, 'd> DrainWatch<'p, 'd> {
    pub(super) fn of(drain: &'d Drain, beginning: Pin<&'p mut Notified<'d>>) -> Self {
        Self { drain, beginning, waker: None, reported: false }
    }

    /// True once, after the drain has begun. Until then the task of `cx` is woken when it begins.
    pub(super) fn take_begun(&mut self, cx: &mut Context<'_>) -> bool {
        if self.reported {
            return false;
        }
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            // Its result is not needed: the flag has the answer.
            let _ = self.beginning.as_mut().poll(cx);
        }
        self.reported = self.drain.has_begun();
        self.reported
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

    use super::*;

    async fn wait_for(drain: &Drain) {
        let beginning = pin!(drain.beginning());
        let mut watch = DrainWatch::of(drain, beginning);
        poll_fn(|cx| if watch.take_begun(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        assert!(!poll_fn(|cx| Poll::Ready(watch.take_begun(cx))).await, "reported once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_connection_is_woken_and_a_late_one_sees_the_drain_at_once() {
        let drain = Drain::default();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { tokio::time::timeout(Duration::from_secs(60), wait_for(&drain)).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        drain.begin();
        assert!(waiting.await.unwrap().is_ok());
        wait_for(&drain).await;
    }
}
