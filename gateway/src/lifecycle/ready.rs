//! What readiness still waits for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Ready when nobody holds a [`Waiting`] any more.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<BTreeMap<&'static str, usize>>,
    fewer: Notify,
}

/// Held by a part that is not ready; dropping it says that it is.
#[derive(Debug)]
pub struct Waiting {
    readiness: Readiness,
    what: &'static str,
}

impl Readiness {
    pub fn wait_for(&self, what: &'static str) -> Waiting {
        *self.pending().entry(what).or_insert(0) += 1;
        Waiting { readiness: self.clone(), what }
    }

    /// Empty when ready.
    pub fn waits_for(&self) -> Vec<&'static str> {
        self.pending().keys().copied().collect()
    }

    /// Waits until nothing is waited for.
    pub async fn ready(&self) {
        loop {
            let fewer = self.0.fewer.notified();
            if self.waits_for().is_empty() {
                return;
            }
            fewer.await;
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut pending = self.readiness.pending();
        if let Some(count) = pending.get_mut(self.what) {
            *count -= 1;
            if *count == 0 {
                pending.remove(self.what);
            }
        }
        let left: Vec<_> = pending.keys().copied().collect();
        drop(pending);
        self.readiness.0.fewer.notify_waiters();
        tracing::info!(part = self.what, waits_for = left.join(", "), "part is ready");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_part_has_let_go() {
        let readiness = Readiness::default();
        let (plugins, roster) = (readiness.wait_for("plugins"), readiness.wait_for("roster"));
        assert_eq!(readiness.waits_for(), ["plugins", "roster"]);
        drop(plugins);
        assert_eq!(readiness.waits_for(), ["roster"]);
        drop(roster);
        assert!(readiness.waits_for().is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_last_part() {
        let readiness = Readiness::default();
        let (plugins, roster) = (readiness.wait_for("plugins"), readiness.wait_for("roster"));
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        tokio::task::yield_now().await;
        drop(plugins);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(roster);
        waiting.await.unwrap();
        readiness.ready().await;
    }
}
