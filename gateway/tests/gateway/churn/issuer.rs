//! A source whose credentials say for whom they were issued, and when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use metagate::{
    credential::{Credential, Fetch, FetchError, Secret, Source},
    credential_key::CredentialKey,
    roster::Feed,
};

use super::{LIFE, cluster::Epochs};

/// One fetch in this many lasts until the cluster has changed: by then the waiting address may have another pod.
const OUTLASTED: u64 = 3;

pub(crate) struct Issuer {
    feed: Arc<Feed>,
    epochs: Arc<Epochs>,
    fetches: AtomicU64,
}

impl Issuer {
    pub(crate) fn new(feed: &Arc<Feed>, epochs: &Arc<Epochs>) -> Self {
        Self { feed: Arc::clone(feed), epochs: Arc::clone(epochs), fetches: AtomicU64::new(0) }
    }

    async fn issue(&self, key: &CredentialKey) -> Result<Credential, FetchError> {
        let mut changes = self.feed.changes();
        if self.fetches.fetch_add(1, Ordering::Relaxed).is_multiple_of(OUTLASTED) {
            // If nobody is left to change the cluster, the wait ends after this time.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(50), changes.changed()).await;
        }
        let role = key.role();
        let name = format!("{}|{}|{}", role.arn.name(), role.session_name, self.epochs.published());
        let now = SystemTime::now();
        let secret = || Secret::new(name.clone());
        Ok(Credential::new(name.clone(), secret(), secret(), now, now + LIFE))
    }
}

impl Source for Issuer {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        Box::pin(self.issue(key))
    }
}
