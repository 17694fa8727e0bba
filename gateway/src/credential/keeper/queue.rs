//! Keys that wait for a fetch: by urgency, then in the order of arrival.

use std::collections::BTreeMap;

use crate::credential_key::CredentialKey;

/// The smallest value is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A request waits.
    Asked,
    /// A cached credential is due for renewal.
    Renewal,
    /// A new workload will ask for the key.
    Prefetch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    pub(super) urgency: Urgency,
    number: u64,
}

#[derive(Default)]
pub(super) struct FetchQueue {
    keys: BTreeMap<Ticket, CredentialKey>,
    issued: u64,
}

impl FetchQueue {
    pub(super) fn push(&mut self, urgency: Urgency, key: CredentialKey) -> Ticket {
        self.issued += 1;
        let ticket = Ticket { urgency, number: self.issued };
        self.keys.insert(ticket, key);
        ticket
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<CredentialKey> {
        self.keys.remove(&ticket)
    }

    /// Removes the first key that `of` accepts.
    pub(super) fn pop(&mut self, of: impl Fn(&CredentialKey) -> bool) -> Option<CredentialKey> {
        let first = self.keys.iter().find(|(_, key)| of(key)).map(|(ticket, _)| *ticket)?;
        self.remove(first)
    }
}
