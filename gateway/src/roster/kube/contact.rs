//! Since when a watch hears nothing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::roster::Feed;

/// Shared by the watches: as long as one of them is out of touch, so is the roster.
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

    /// The API server has answered it. Whether it was out of touch before.
    pub(super) fn heard(&self, watch: Watch) -> bool {
        self.set(watch, |_| None)
    }

    /// Its stream failed. Whether it was in touch before.
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
        assert!(contact.heard(Watch::Pods));
        assert_eq!(feed.outdated_since(), Some(at(3)));
        contact.heard(Watch::Accounts);
        assert_eq!(feed.outdated_since(), None);
    }
}
