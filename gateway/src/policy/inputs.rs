//! Everything that plugins see of a workload, as a cache key.

use crate::{
    interest::{Interest, Keys},
    pairs::Pairs,
    plugin::TooMuch,
    workload::{Uid, Workload},
};

/// Compared field by field: a cache that trusts a digest would one day give a decision to the wrong pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DecisionInputs {
    uid: Uid,
    scalars: [String; 4],
    ips: Vec<std::net::IpAddr>,
    pairs: [Pairs; 6],
}

impl DecisionInputs {
    pub(super) fn of(workload: &Workload, interest: &Interest) -> Result<Self, TooMuch> {
        // The same bound as at the interface: what is too much there is not cached here.
        let pairs = |what, keys: &Keys, from: &Pairs| crate::plugin::bounded_pairs(what, keys, from);
        Ok(Self {
            uid: workload.uid.clone(),
            scalars: [
                workload.namespace.clone(),
                workload.pod.clone(),
                workload.service_account.clone(),
                workload.node.clone(),
            ],
            ips: workload.ips.clone(),
            pairs: [
                pairs("labels", &interest.labels, &workload.labels)?,
                pairs("annotations", &interest.annotations, &workload.annotations)?,
                pairs("namespace labels", &interest.namespace_labels, &workload.namespace_labels)?,
                pairs("namespace annotations", &interest.namespace_annotations, &workload.namespace_annotations)?,
                pairs(
                    "service account annotations",
                    &interest.service_account_annotations,
                    &workload.service_account_annotations,
                )?,
                // Without the time: a decision that depends on it expires instead.
                crate::plugin::bounded_attributes(workload, interest)?,
            ],
        })
    }

    /// Roughly, for the bound on the cache.
    pub(super) fn bytes(&self) -> usize {
        let scalars = self.scalars.iter().map(String::len).sum::<usize>() + self.uid.as_str().len();
        let pairs: usize = self.pairs.iter().flatten().map(|(key, value)| key.len() + value.len() + OVERHEAD).sum();
        scalars + pairs + OVERHEAD * (1 + self.scalars.len() + self.ips.len())
    }
}

/// The memory of two strings without their text.
const OVERHEAD: usize = 48;
