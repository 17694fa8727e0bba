//! Since when a watch has no contact with the API server.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::roster::Feed;

/// Shared by the watches: while one of them has no contact, the roster is outdated.
#[derive(Clone)]
pub(super) struct Contact(Arc<Shared>);

struct Shared {
    feed: Arc<Feed>,
    lost: Mutex<[Option<SystemTime>; 3]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Pods,
    Namespaces,
    Accounts,
}

impl Watch {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Namespaces => "namespaces",
            Self::Accounts => "serviceaccounts",
        }
    }
}

impl Contact {
    pub(super) fn new(feed: Arc<Feed>) -> Self {
        Self(Arc::new(Shared { feed, lost: Mutex::default() }))
    }

    /// Records an answer of the API server. Returns whether contact was lost before.
    pub(super) fn answered(&self, watch: Watch) -> bool {
        self.set(watch, |_| None)
    }

    /// Records that the watch's stream failed. Returns whether there was contact before.
    pub(super) fn lost(&self, watch: Watch, now: SystemTime) -> bool {
        self.set(watch, |since| since.or(Some(now)))
    }

    fn set(&self, watch: Watch, change: impl FnOnce(Option<SystemTime>) -> Option<SystemTime>) -> bool {
        let mut lost = self.0.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let [pods, namespaces, accounts] = &mut *lost;
        let one = match watch {
            Watch::Pods => pods,
            Watch::Namespaces => namespaces,
            Watch::Accounts => accounts,
        };
        let before = *one;
        *one = change(before);
        let changed = one.is_some() != before.is_some();
        self.0.feed.outdated(lost.iter().flatten().min().copied());
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_roster_is_outdated_since_the_first_of_its_watches_was_lost() {
        let feed = Arc::new(Feed::default());
        let contact = Contact::new(Arc::clone(&feed));
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        assert!(contact.lost(Watch::Pods, at(1)));
        assert!(!contact.lost(Watch::Pods, at(2)), "it was lost already");
        contact.lost(Watch::Accounts, at(3));
        assert_eq!(feed.outdated_since(), Some(at(1)));
        assert!(contact.answered(Watch::Pods));
        assert_eq!(feed.outdated_since(), Some(at(3)));
        contact.answered(Watch::Accounts);
        assert_eq!(feed.outdated_since(), None);
    }
}
