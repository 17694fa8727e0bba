//! The proof that policy allowed a role.

use crate::{
    credential_key::CredentialKey,
    role::Role,
    workload::{Uid, Workload},
};

/// Credentials are given only for a grant, and only policy can make one: its fields and its constructor are private.
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

    /// The UID of the pod that has the grant.
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
