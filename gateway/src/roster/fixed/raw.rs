//! What a fixed roster's file says.

use serde::Deserialize;

use super::PodTable;
use crate::pairs::Pairs;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) namespace: Vec<Namespace>,
    pub(super) service_account: Vec<ServiceAccount>,
    pub(super) workload: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Namespace {
    pub(super) name: String,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ServiceAccount {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) annotations: Pairs,
}

/// A `[[workload]]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) ips: Vec<String>,
    pub(super) service_account: String,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
    /// By container.
    pub(super) images: Pairs,
    pub(super) token_file: String,
    pub(super) listen: String,
}

impl Entry {
    /// The pod, its `token_file` and its `listen`.
    pub(super) fn split(self) -> (PodTable, String, String) {
        let pod = PodTable {
            namespace: self.namespace,
            pod: self.pod,
            uid: self.uid,
            ips: self.ips,
            service_account: self.service_account,
            labels: self.labels,
            annotations: self.annotations,
            images: self.images,
        };
        (pod, self.token_file, self.listen)
    }
}
