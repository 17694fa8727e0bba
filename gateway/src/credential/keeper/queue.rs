//! Keys that are to be fetched as soon as there is room: by urgency, then in the order in which they came.

use std::collections::BTreeMap;

use crate::credential_key::CredentialKey;

/// The most urgent is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A request waits.
    Asked,
    /// A held credential is due.
    Renewal,
    /// A workload has appeared that will ask.
    Prefetch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    pub(super) urgency: Urgency,
    number: u64,
}

#[derive(Default)]
pub(super) struct FetchQueue {
    places: BTreeMap<Ticket, CredentialKey>,
    issued: u64,
}

impl FetchQueue {
    pub(super) fn push(&mut self, urgency: Urgency, key: CredentialKey) -> Ticket {
        self.issued += 1;
        let ticket = Ticket { urgency, number: self.issued };
        self.places.insert(ticket, key);
        ticket
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<CredentialKey> {
        self.places.remove(&ticket)
    }

    /// The first of those.
    pub(super) fn pop(&mut self, of: impl Fn(&CredentialKey) -> bool) -> Option<CredentialKey> {
        let first = self.places.iter().find(|(_, key)| of(key)).map(|(ticket, _)| *ticket)?;
        self.remove(first)
    }
}
