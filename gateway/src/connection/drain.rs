//! How connections learn that the gateway is stopping.
//!
//! A connection looks each time that it is polled. A cancellation token takes two locks for a look, which all connections
//! share; this is one load.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

use tokio::sync::{Notify, futures::Notified};

/// Said once, to all connections. Cheap to clone.
#[derive(Clone, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Default)]
struct Shared {
    begun: AtomicBool,
    waiting: Notify,
}

impl Drain {
    pub fn begin(&self) {
        // Before those who wait are woken: what they see then is true.
        self.0.begun.store(true, Ordering::Release);
        self.0.waiting.notify_waiters();
    }

    fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Done when the drain begins, if that is after this call.
    pub(super) fn beginning(&self) -> Notified<'_> {
        self.0.waiting.notified()
    }
}

/// What one connection knows of it.
pub(super) struct DrainWatch<'p, 'd> {
    drain: &'d Drain,
    beginning: Pin<&'p mut Notified<'d>>,
    /// Who is woken when it begins.
    waker: Option<Waker>,
    told: bool,
}

impl<'p, 'd> DrainWatch<'p, 'd> {
    pub(super) fn of(drain: &'d Drain, beginning: Pin<&'p mut Notified<'d>>) -> Self {
        Self { drain, beginning, waker: None, told: false }
    }

    /// Whether it has begun, once. Otherwise the task of `cx` is woken when it does.
    pub(super) fn is_news(&mut self, cx: &mut Context<'_>) -> bool {
        if self.told {
            return false;
        }
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            // What it says, the flag says too.
            let _ = self.beginning.as_mut().poll(cx);
        }
        self.told = self.drain.has_begun();
        self.told
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

    use super::*;

    async fn told(drain: &Drain) {
        let beginning = pin!(drain.beginning());
        let mut told = DrainWatch::of(drain, beginning);
        poll_fn(|cx| if told.is_news(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        assert!(!poll_fn(|cx| Poll::Ready(told.is_news(cx))).await, "news once");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_and_who_comes_late_is_told_at_once() {
        let drain = Drain::default();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { tokio::time::timeout(Duration::from_secs(60), told(&drain)).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        drain.begin();
        assert!(waiting.await.unwrap().is_ok());
        told(&drain).await;
    }
}
