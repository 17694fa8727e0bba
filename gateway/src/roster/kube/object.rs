//! Objects of the API server, reduced to the fields that a roster needs.

use std::{collections::BTreeMap, net::IpAddr, time::SystemTime};

use ::kube::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::table::Name;
use crate::{interest::Interest, pairs::Pairs, workload::Uid};

/// The fields of a Pod that are read; the parser skips all others.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "k8s_openapi::api::core::v1::Pod")]
pub(super) struct Pod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    service_account_name: Option<String>,
    host_network: bool,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

/// Names are unique over all three kinds (Kubernetes, API reference, Container).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<Address>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    #[serde(rename = "hostIPs")]
    host_ips: Vec<Address>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    ip: String,
}

/// A pod that has addresses of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub uid: Uid,
    pub service_account: String,
    pub addresses: Vec<IpAddr>,
    pub labels: Pairs,
    pub annotations: Pairs,
    /// Images by container name.
    pub images: Pairs,
    /// The end of the grace period, if the pod is being deleted.
    pub ends: Option<SystemTime>,
    pub first_seen: SystemTime,
}

/// Why a pod's object could not be read, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it has no UID")]
    NoUid,
    #[error("its address {0:?} is not an IP address")]
    Address(String),
}

/// Phases of a pod that has ended (Kubernetes, Pod Lifecycle): the API shows its address long after another pod has
/// been given it.
const ENDED: [&str; 2] = ["Succeeded", "Failed"];

impl Pod {
    /// None if no address is this pod's own: it has none yet, has ended, or shares the node's.
    pub(super) fn read(self, node: &str, interest: &Interest, now: SystemTime) -> Result<Option<Live>, Malformed> {
        let Self { metadata, spec, status } = self;
        let uid = metadata.uid.filter(|uid| !uid.is_empty()).ok_or(Malformed::NoUid)?;
        let ended = status.phase.as_deref().is_some_and(|phase| ENDED.contains(&phase));
        if ended || spec.host_network || spec.node_name.as_deref() != Some(node) {
            return Ok(None);
        }
        let addresses = addresses(status.pod_ips, status.pod_ip)?;
        let of_node = addresses_of_node(status.host_ips, status.host_ip);
        if addresses.is_empty() || addresses.iter().any(|address| of_node.contains(address)) {
            return Ok(None);
        }
        Ok(Some(Live {
            uid: Uid::new(uid),
            service_account: spec.service_account_name.filter(|name| !name.is_empty()).unwrap_or("default".into()),
            addresses,
            labels: selected(metadata.labels, |key| interest.labels.show(key)),
            annotations: selected(metadata.annotations, |key| interest.annotations.show(key)),
            images: images([spec.containers, spec.init_containers, spec.ephemeral_containers], interest),
            ends: metadata.deletion_timestamp.map(|time| time.0.into()),
            first_seen: now,
        }))
    }
}

/// A container without an image stays, with an empty one: a policy that knows no such image refuses it.
fn images(kinds: [Option<Vec<Container>>; 3], interest: &Interest) -> Pairs {
    let all = kinds.into_iter().flatten().flatten().filter(|container| interest.asks_for_image(&container.name));
    all.map(|container| (container.name, container.image)).collect()
}

fn addresses(all: Vec<Address>, one: Option<String>) -> Result<Vec<IpAddr>, Malformed> {
    let written = all.into_iter().map(|address| address.ip).chain(one).filter(|ip| !ip.is_empty());
    let mut addresses = Vec::new();
    for ip in written {
        let address = ip.parse::<IpAddr>().map_err(|_| Malformed::Address(ip))?.to_canonical();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Skips an address that cannot be read: these addresses only show which pods share the node's.
fn addresses_of_node(all: Vec<Address>, one: Option<String>) -> Vec<IpAddr> {
    let written = all.into_iter().map(|address| address.ip).chain(one);
    written.filter_map(|ip| ip.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical()).collect()
}

/// What policy reads of a namespace; of a service account, only the annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    pub labels: Pairs,
    pub annotations: Pairs,
}

impl Described {
    pub(super) fn namespace(metadata: ObjectMeta, interest: &Interest) -> Self {
        Self {
            labels: selected(metadata.labels, |key| interest.namespace_labels.show(key)),
            annotations: selected(metadata.annotations, |key| interest.namespace_annotations.show(key)),
        }
    }

    pub(super) fn service_account(metadata: ObjectMeta, interest: &Interest) -> Self {
        let annotations = selected(metadata.annotations, |key| interest.service_account_annotations.show(key));
        Self { labels: Pairs::new(), annotations }
    }
}

/// Only the pairs that policy reads; others are not stored.
fn selected(pairs: Option<BTreeMap<String, String>>, show: impl Fn(&str) -> bool) -> Pairs {
    pairs.into_iter().flatten().filter(|(key, _)| show(key)).collect()
}

pub(super) fn name_of(metadata: &ObjectMeta) -> Name {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    Name { namespace: text(&metadata.namespace), name: text(&metadata.name) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::interest::Keys;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn pod(change: impl FnOnce(&mut Value)) -> Result<Option<Live>, Malformed> {
        let interest = Interest {
            labels: Keys::new(["tier".to_owned()]),
            annotations: Keys::new(["iam.amazonaws.com/*".to_owned()]),
            ..Interest::default()
        };
        pod_for(&interest, change)
    }

    fn pod_for(interest: &Interest, change: impl FnOnce(&mut Value)) -> Result<Option<Live>, Malformed> {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": "payments", "name": "checkout-0", "uid": "u-1",
                "annotations": { "iam.amazonaws.com/role": "a", "big": "x".repeat(1000) },
                "labels": { "tier": "trusted", "other": "y" },
            },
            "spec": {
                "nodeName": "node-a", "serviceAccountName": "checkout",
                "containers": [{ "name": "app", "image": "shop:1", "command": ["serve"] }, { "name": "proxy" }],
                "initContainers": [{ "name": "fetch", "image": "fetch:2" }],
                "ephemeralContainers": [{ "name": "debugger", "image": "busybox", "targetContainerName": "app" }],
            },
            "status": {
                "phase": "Running", "hostIP": "10.1.0.1", "podIP": "10.0.0.1",
                "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }],
            },
        });
        change(&mut object);
        serde_json::from_value::<Pod>(object).unwrap().read("node-a", interest, NOW)
    }

    /// As `CONTAINER=IMAGE`.
    fn images(asked: &[&str]) -> Vec<String> {
        let attributes = Keys::new(asked.iter().map(|key| (*key).to_owned()));
        let live = pod_for(&Interest { attributes, ..Interest::default() }, |_| {}).unwrap().unwrap();
        live.images.into_iter().map(|(container, image)| format!("{container}={image}")).collect()
    }

    #[test]
    fn images_of_all_kinds_of_containers_are_held_where_policy_reads_them() {
        assert_eq!(images(&["image/*"]), ["app=shop:1", "debugger=busybox", "fetch=fetch:2", "proxy="]);
        assert_eq!(images(&["image/app", "image/d*"]), ["app=shop:1", "debugger=busybox"]);
        assert!(images(&["now", "app"]).is_empty());
    }

    #[test]
    fn a_pod_whose_object_lists_no_containers_is_one_all_the_same() {
        let live = pod(|object| object["spec"]["containers"] = Value::Null).unwrap().unwrap();
        assert!(live.images.is_empty());
    }

    #[test]
    fn a_running_pod_has_all_its_addresses_and_only_what_policy_reads() {
        let live = pod(|_| {}).unwrap().unwrap();
        assert_eq!(live.addresses, ["10.0.0.1", "fd00::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert_eq!((live.uid.as_str(), live.service_account.as_str(), live.ends), ("u-1", "checkout", None));
        assert_eq!(live.labels.keys().collect::<Vec<_>>(), ["tier"]);
        assert_eq!(live.annotations.keys().collect::<Vec<_>>(), ["iam.amazonaws.com/role"]);
    }

    #[test]
    fn a_pod_that_shares_the_node_s_address_or_has_ended_owns_none() {
        for (path, value) in [
            ("/spec/hostNetwork", json!(true)),
            ("/spec/nodeName", json!("node-b")),
            ("/spec/nodeName", Value::Null),
            ("/status/phase", json!("Succeeded")),
            ("/status/phase", json!("Failed")),
            ("/status/hostIP", json!("10.0.0.1")),
            ("/status/hostIPs", json!([{ "ip": "10.1.0.1" }, { "ip": "fd00::1" }])),
            ("/status", json!({})),
        ] {
            let read = pod(|object| {
                let (parent, key) = path.rsplit_once('/').unwrap();
                object.pointer_mut(parent).unwrap()[key] = value.clone();
            });
            assert_eq!(read, Ok(None), "{path} = {value}");
        }
    }

    #[test]
    fn a_pod_that_is_being_deleted_lives_until_its_grace_is_over() {
        let live = pod(|object| object["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:30Z"));
        assert_eq!(live.unwrap().unwrap().ends, Some(NOW + Duration::from_secs(30)));
    }

    #[test]
    fn an_object_that_makes_no_sense_says_why() {
        let of = |ip: &str| pod(|object| object["status"]["podIPs"] = json!([{ "ip": ip }]));
        assert_eq!(of("10.0.0.256"), Err(Malformed::Address("10.0.0.256".into())));
        assert_eq!(pod(|object| object["metadata"]["uid"] = json!("")), Err(Malformed::NoUid));
    }

    #[test]
    fn a_pod_without_a_service_account_has_the_default_one() {
        let live = pod(|object| object["spec"]["serviceAccountName"] = json!("")).unwrap().unwrap();
        assert_eq!(live.service_account, "default");
    }
}
