//! The snapshot that requests read: key to credential. Readers take no lock and allocate nothing; the keeper alone
//! writes.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

use super::Credential;
use crate::credential_key::CredentialKey;

/// Holds one credential. A renewal swaps the credential and leaves the map alone.
type Cell = Arc<ArcSwap<Credential>>;
type Snapshot = ArcSwap<HashMap<CredentialKey, Cell>>;

/// The read side.
#[derive(Clone, Default)]
pub(super) struct Store(Arc<Snapshot>);

/// The write side. There is only one and it cannot be cloned, which makes the load-then-store below safe.
pub(super) struct StoreWriter(Arc<Snapshot>);

pub(super) fn store() -> (Store, StoreWriter) {
    let snapshot = Arc::new(Snapshot::default());
    (Store(Arc::clone(&snapshot)), StoreWriter(snapshot))
}

impl Store {
    /// The cached credential, valid or expired: the caller checks the clock.
    pub(super) fn get(&self, key: &CredentialKey) -> Option<Arc<Credential>> {
        self.0.load().get(key).map(|cell| cell.load_full())
    }

    pub(super) fn len(&self) -> usize {
        self.0.load().len()
    }

    pub(super) fn all(&self) -> Vec<Arc<Credential>> {
        self.0.load().values().map(|cell| cell.load_full()).collect()
    }
}

impl StoreWriter {
    pub(super) fn put(&mut self, key: &CredentialKey, credential: Arc<Credential>) {
        let snapshot = self.0.load();
        match snapshot.get(key) {
            Some(cell) => cell.store(credential),
            None => {
                let mut next = HashMap::clone(&snapshot);
                next.insert(key.clone(), Arc::new(ArcSwap::new(credential)));
                self.0.store(Arc::new(next));
            }
        }
    }

    pub(super) fn remove(&mut self, key: &CredentialKey) {
        let snapshot = self.0.load();
        if snapshot.contains_key(key) {
            let mut next = HashMap::clone(&snapshot);
            next.remove(key);
            self.0.store(Arc::new(next));
        }
    }
}
