//! What readiness still waits for.

use std::{
    collections::BTreeMap,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Ready when nobody holds a [`Waiting`] any more.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<BTreeMap<Part, usize>>,
    fewer: Notify,
}

/// What a gateway may wait for before it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The account and region of the node, from its metadata service.
    NodeMetadata,
    Roster,
}

impl Part {
    pub fn label(self) -> &'static str {
        match self {
            Self::Roster => "roster",
            Self::NodeMetadata => "node metadata",
        }
    }
}

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(label: &str) -> Result<Self, UnknownPart> {
        [Self::NodeMetadata, Self::Roster].into_iter().find(|part| part.label() == label).ok_or(UnknownPart)
    }
}

/// Named by a gateway of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this version waits for no such part")]
pub struct UnknownPart;

/// Held by a part that is not ready; the part drops it when it is.
#[derive(Debug)]
pub struct Waiting {
    readiness: Readiness,
    part: Part,
}

impl Readiness {
    pub fn wait_for(&self, part: Part) -> Waiting {
        *self.pending().entry(part).or_insert(0) += 1;
        Waiting { readiness: self.clone(), part }
    }

    /// Empty when ready.
    pub fn waits_for(&self) -> Vec<Part> {
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

    fn pending(&self) -> std::sync::MutexGuard<'_, BTreeMap<Part, usize>> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut pending = self.readiness.pending();
        if let Some(count) = pending.get_mut(&self.part) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&self.part);
            }
        }
        let remaining: Vec<_> = pending.keys().map(|part| part.label()).collect();
        drop(pending);
        self.readiness.0.fewer.notify_waiters();
        tracing::info!(part = self.part.label(), waits_for = remaining.join(", "), "part is ready");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_part_has_dropped_its_token() {
        let readiness = Readiness::default();
        let (node, roster) = (readiness.wait_for(Part::NodeMetadata), readiness.wait_for(Part::Roster));
        assert_eq!(readiness.waits_for(), [Part::NodeMetadata, Part::Roster]);
        drop(node);
        assert_eq!(readiness.waits_for(), [Part::Roster]);
        drop(roster);
        assert!(readiness.waits_for().is_empty());
    }

    #[test]
    fn a_part_is_known_by_its_label_and_another_versions_is_not() {
        for part in [Part::NodeMetadata, Part::Roster] {
            assert_eq!(part.label().parse(), Ok(part));
        }
        assert_eq!("plugins".parse::<Part>(), Err(UnknownPart));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_last_part() {
        let readiness = Readiness::default();
        let (node, roster) = (readiness.wait_for(Part::NodeMetadata), readiness.wait_for(Part::Roster));
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        tokio::task::yield_now().await;
        drop(node);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(roster);
        waiting.await.unwrap();
        readiness.ready().await;
    }
}
