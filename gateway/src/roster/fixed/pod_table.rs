//! The keys of a pod that a roster file's `[[workload]]` and a plugin case's `workload` have in common.

use std::net::IpAddr;

use crate::{
    config::{Collector, Key, is_label, is_subdomain, quote},
    pairs::Pairs,
    workload::{Uid, Workload},
};

/// The rule for names of namespaces and containers.
pub(super) const LABEL: &str = "1 to 63 characters of a-z, 0-9 and -; neither the first nor the last is -";
const SUBDOMAIN: &str = "1 to 253 characters of a-z, 0-9, - and dots; no part begins or ends with -";
/// The service account of a pod that names none, as in Kubernetes.
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

#[derive(Debug, Default)]
pub(crate) struct PodTable {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// Derived from namespace and pod if empty.
    pub(crate) uid: String,
    pub(crate) ips: Vec<String>,
    pub(crate) service_account: String,
    pub(crate) labels: Pairs,
    pub(crate) annotations: Pairs,
    /// By container.
    pub(crate) images: Pairs,
}

impl PodTable {
    /// The workload of the table at `key`, and a diagnostic for each key that is wrong.
    pub(crate) fn read(self, key: &Key, collector: &mut Collector<'_>) -> Workload {
        check_namespace(&key.name("namespace"), &self.namespace, collector);
        check_subdomain(&key.name("pod"), &self.pod, "a pod", collector);
        let service_account = match self.service_account.as_str() {
            "" => DEFAULT_SERVICE_ACCOUNT.to_owned(),
            name => {
                check_subdomain(&key.name("service_account"), name, "a service account", collector);
                self.service_account
            }
        };
        for container in self.images.keys().filter(|container| !is_label(container)) {
            let problem = format!("expected a container's name before its image, found {}", quote(container));
            collector.refuse(&key.name("images").name(container), problem, LABEL);
        }
        Workload {
            uid: if self.uid.is_empty() { Uid::derived(&self.namespace, &self.pod) } else { Uid::new(self.uid) },
            ips: addresses(&key.name("ips"), &self.ips, collector),
            service_account,
            namespace: self.namespace,
            pod: self.pod,
            labels: self.labels,
            annotations: self.annotations,
            images: self.images,
            ..Workload::default()
        }
    }
}

pub(super) fn check_namespace(key: &Key, written: &str, collector: &mut Collector<'_>) {
    if !is_label(written) {
        collector.refuse(key, format!("expected a namespace's name, found {}", quote(written)), LABEL);
    }
}

pub(super) fn check_subdomain(key: &Key, written: &str, whose: &str, collector: &mut Collector<'_>) {
    if !is_subdomain(written) {
        collector.refuse(key, format!("expected {whose}'s name, found {}", quote(written)), SUBDOMAIN);
    }
}

fn addresses(key: &Key, written: &[String], collector: &mut Collector<'_>) -> Vec<IpAddr> {
    let mut ips = Vec::new();
    for (index, written) in written.iter().enumerate() {
        match written.parse::<IpAddr>() {
            Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => ips.push(ip),
            _ => {
                let problem = format!("expected the IP address of a pod, found {}", quote(written));
                collector.refuse(&key.index(index), problem, "");
            }
        }
    }
    ips
}
