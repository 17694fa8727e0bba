//! A pod on this node, with everything that policy may read about it.

use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc, time::SystemTime};

use sha2::{Digest, Sha256};

use crate::{interest::Interest, pairs::Pairs};

/// Immutable: any change to the pod, its namespace or its service account makes a new workload.
#[derive(Debug, Default)]
pub struct Workload {
    pub namespace: String,
    pub pod: String,
    pub uid: Uid,
    pub ips: Vec<IpAddr>,
    pub service_account: String,
    pub node: String,
    pub labels: Pairs,
    pub annotations: Pairs,
    pub namespace_labels: Pairs,
    pub namespace_annotations: Pairs,
    pub service_account_annotations: Pairs,
    /// The image of each container, as the pod's spec has it.
    pub images: Pairs,
    /// The file with this workload's own web identity token, if the roster knows one.
    pub token_file: Option<PathBuf>,
    /// Which labels, annotations and images the roster read; None: all of them.
    pub read: Option<Arc<Interest>>,
    /// When this node's roster first showed this UID.
    pub since: Option<SystemTime>,
}

impl Workload {
    /// `namespace/pod`, as a person names it.
    pub fn title(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }

    /// Whether both describe the same pod in the same way. The time when it was first seen does not count.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.description() == other.description() && self.read == other.read
    }

    /// Whether the roster read everything that `interest` names: then a key that is absent here is absent on the
    /// objects too.
    pub fn covers(&self, interest: &Interest) -> bool {
        self.read.as_ref().is_none_or(|read| read.covers(interest))
    }

    fn description(&self) -> ([&str; 4], &Uid, &[IpAddr], [&Pairs; 6], Option<&PathBuf>) {
        (
            [&self.namespace, &self.pod, &self.service_account, &self.node],
            &self.uid,
            &self.ips,
            [
                &self.labels,
                &self.annotations,
                &self.namespace_labels,
                &self.namespace_annotations,
                &self.service_account_annotations,
                &self.images,
            ],
            self.token_file.as_ref(),
        )
    }
}

/// A pod's UID and its digest, which session tokens are bound to. The digest is computed once, and clones share the
/// text.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    text: Arc<str>,
    digest: [u8; 16],
}

impl Uid {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(Sha256::digest(text.as_bytes())) {
            *to = from;
        }
        Self { text, digest }
    }

    /// A stable UID for a workload that has none of its own (the fixed roster).
    pub fn derived(namespace: &str, pod: &str) -> Self {
        let digest = Sha256::digest(format!("{namespace}/{pod}"));
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self::new(hex)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn digest(&self) -> &[u8; 16] {
        &self.digest
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
