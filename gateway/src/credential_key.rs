//! The cache key of credentials: everything that changes what the source returns.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

use crate::{
    role::{CredentialSource, Role},
    workload::{Uid, Workload},
};

/// Cheap to clone and to hash: the digest is computed once and only finds the bucket. Equality compares everything, as
/// two keys that merely hash alike must never share credentials.
#[derive(Clone, Debug)]
pub struct CredentialKey(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    role: Role,
    /// Boxed, because most keys have none.
    subject: Option<Box<Subject>>,
    hash: u64,
}

/// The pod whose web identity token is used. AssumeRole has none: the gateway uses its own identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub namespace: String,
    pub service_account: String,
    pub pod: String,
    pub uid: Uid,
}

/// Seeded per process, so that nobody outside can make keys collide.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl CredentialKey {
    pub fn new(role: Role, workload: &Workload) -> Self {
        let subject = match role.source {
            CredentialSource::AssumeRole => None,
            CredentialSource::WebIdentity { .. } => Some(Box::new(Subject {
                namespace: workload.namespace.clone(),
                service_account: workload.service_account.clone(),
                pod: workload.pod.clone(),
                uid: workload.uid.clone(),
            })),
        };
        let hash = SEED.hash_one((&role, &subject));
        Self(Arc::new(Parts { role, subject, hash }))
    }

    pub fn role(&self) -> &Role {
        &self.0.role
    }

    pub fn subject(&self) -> Option<&Subject> {
        self.0.subject.as_deref()
    }

    /// Names the key on the status page and in the state until the process ends. It depends on the process's own seed
    /// and reveals neither external id nor tags nor policy. No decision depends on it.
    pub fn id(&self) -> String {
        format!("{:016x}", self.0.hash)
    }
}

impl PartialEq for CredentialKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.role == other.0.role && self.0.subject == other.0.subject)
    }
}

impl Eq for CredentialKey {}

impl Hash for CredentialKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::pairs::Pairs;

    fn a_role() -> impl Strategy<Value = Role> {
        let source = prop_oneof![
            Just(CredentialSource::AssumeRole),
            ("[ab]", any::<bool>())
                .prop_map(|(audience, regional)| CredentialSource::WebIdentity { audience, regional }),
        ];
        let pairs = proptest::collection::vec(("[ab]", "[ab]"), 0..2).prop_map(Pairs::from_iter);
        let text = || proptest::option::of("[ab]");
        (source, "[ab]", "[ab]{2}", text(), 900u64..902, pairs, text(), proptest::collection::vec("[ab]", 0..2))
            .prop_map(
                |(source, name, session, external_id, seconds, tags, session_policy, policy_arns): (
                    _,
                    _,
                    String,
                    _,
                    _,
                    Pairs,
                    _,
                    _,
                )| Role {
                    arn: format!("arn:aws:iam::123456789012:role/{name}").parse().unwrap(),
                    source,
                    session_name: session.parse().unwrap(),
                    external_id,
                    duration: Duration::from_secs(seconds),
                    tags,
                    session_policy,
                    policy_arns,
                },
            )
    }

    fn a_workload() -> impl Strategy<Value = Workload> {
        ("[ab]", "[ab]", "[ab]", "[ab]").prop_map(|(namespace, pod, service_account, uid)| Workload {
            namespace,
            pod,
            service_account,
            uid: Uid::new(uid),
            ..Workload::default()
        })
    }

    proptest! {
        /// The slow obvious model: two requests to STS are the same if all fields are equal, and for web identity also
        /// the bearer.
        #[test]
        fn keys_are_equal_exactly_when_sts_would_be_asked_the_same(
            (a, b) in (a_role(), a_role()), (v, w) in (a_workload(), a_workload())
        ) {
            let bearer = |w: &Workload| format!("{:?}", (&w.namespace, &w.pod, &w.service_account, w.uid.as_str()));
            let same_role = format!("{a:?}") == format!("{b:?}");
            let same_bearer = a.source == CredentialSource::AssumeRole || bearer(&v) == bearer(&w);
            let (x, y) = (CredentialKey::new(a, &v), CredentialKey::new(b, &w));
            prop_assert_eq!(x == y, same_role && same_bearer);
            if x == y {
                prop_assert_eq!(x.0.hash, y.0.hash);
            }
        }
    }
}
