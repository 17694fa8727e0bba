//! The proof that policy allowed.

use crate::{
    credential_key::CredentialKey,
    role::Role,
    workload::{Uid, Workload},
};

/// Credentials can be had only against a grant, and only policy makes one: its fields are private and so is its
/// constructor.
#[derive(Debug)]
pub struct Grant {
    uid: Uid,
    title: String,
    key: CredentialKey,
}

impl Grant {
    pub(super) fn new(workload: &Workload, role: Role) -> Self {
        Self { uid: workload.uid.clone(), title: workload.title(), key: CredentialKey::new(role, workload) }
    }

    /// Whose grant this is.
    pub fn uid(&self) -> &Uid {
        &self.uid
    }

    /// `namespace/pod`.
    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn role(&self) -> &Role {
        self.key.role()
    }

    pub fn key(&self) -> &CredentialKey {
        &self.key
    }

    #[cfg(test)]
    pub(crate) fn for_test(workload: &Workload, role: Role) -> Self {
        Self::new(workload, role)
    }
}
