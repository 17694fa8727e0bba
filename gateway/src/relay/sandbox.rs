//! A simulated instance: what a node's metadata service would answer, without a network.
//!
//! Every value is from a range reserved for documentation: account 123456789012, 192.0.2.0/24 (RFC 5737), 2001:db8::/32
//! (RFC 3849), MAC 00:00:5e:00:53:xx (RFC 7042), and AWS's own sample identifiers.

use std::{collections::BTreeMap, future::ready};

use super::{
    Document, RelayError,
    upstream::{Read, Upstream},
};
use crate::catalogue::Entry;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";
const ZONE: &str = "eu-west-1a";
const INSTANCE: &str = "i-0123456789abcdef0";
const INSTANCE_TYPE: &str = "m6i.large";
const IMAGE: &str = "ami-0123456789abcdef0";
const PRIVATE_IP: &str = "10.0.0.10";
const PRIVATE_NAME: &str = "ip-10-0-0-10.eu-west-1.compute.internal";
const PUBLIC_IP: &str = "192.0.2.10";
const PUBLIC_NAME: &str = "ec2-192-0-2-10.eu-west-1.compute.amazonaws.com";
const IPV6: &str = "2001:db8::10";
const MAC: &str = "00:00:5e:00:53:01";
const SECURITY_GROUP: &str = "sandbox-nodes";
const LAUNCHED: &str = "2025-01-01T00:00:00Z";
const NODE_ROLE: &str = "sandbox-node";

/// Part of every answer of this instance that holds the node's credentials. No pod must ever see it.
pub const NODE_SECRET: &str = "sandbox-node-credential-that-no-pod-may-see";

/// Answers like a whole node, its credentials included, so that a test can show that no pod gets them.
#[derive(Debug)]
pub struct SandboxInstance {
    documents: BTreeMap<String, Document>,
}

impl SandboxInstance {
    pub fn new() -> Self {
        let mut documents = BTreeMap::new();
        let mut put = |path: String, text: &str| documents.insert(path, Document::text(text.to_owned()));
        for (path, text) in INSTANCE_TEXTS.iter().chain(NETWORK_TEXTS) {
            put(format!("meta-data/{path}"), text);
        }
        for (name, text) in INTERFACE_TEXTS {
            put(format!("meta-data/network/interfaces/macs/{MAC}/{name}"), text);
        }
        put(format!("meta-data/network/interfaces/macs/{MAC}/ipv4-associations/{PUBLIC_IP}"), PRIVATE_IP);
        for (path, text) in identity().into_iter().chain(credentials()) {
            put(path, &text);
        }
        let user_data = "#!/bin/sh\necho 'a sandbox boots nothing'\n";
        documents.insert("user-data".to_owned(), Document::octets(user_data));
        Self { documents }
    }

    /// The document at this path below `/latest/`; with a trailing slash, that directory's listing.
    pub fn answer(&self, path: &str) -> Option<Document> {
        if let Some(document) = self.documents.get(path) {
            return Some(document.clone());
        }
        let directory = path.strip_suffix('/').map(|_| path)?;
        let below = self.documents.keys().filter_map(|path| path.strip_prefix(directory));
        let mut names: Vec<_> = below.map(|rest| rest.split_inclusive('/').next().unwrap_or(rest)).collect();
        names.dedup();
        (!names.is_empty()).then(|| Document::text(names.join("\n")))
    }

    /// Every path that is answered, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(String::as_str)
    }
}

impl Default for SandboxInstance {
    fn default() -> Self {
        Self::new()
    }
}

impl Upstream for SandboxInstance {
    fn read<'a>(&'a self, entry: &'a Entry) -> Read<'a> {
        let not_found = || RelayError::NotFound { path: entry.to_string() };
        Box::pin(ready(self.answer(entry.path()).ok_or_else(not_found)))
    }
}

/// Below `meta-data/`.
const INSTANCE_TEXTS: &[(&str, &str)] = &[
    ("ami-id", IMAGE),
    ("ami-launch-index", "0"),
    ("ami-manifest-path", "(unknown)"),
    ("autoscaling/target-lifecycle-state", "InService"),
    ("block-device-mapping/ami", "/dev/xvda"),
    ("block-device-mapping/ebs1", "/dev/xvdb"),
    ("block-device-mapping/root", "/dev/xvda"),
    ("events/maintenance/history", "[]"),
    ("events/maintenance/scheduled", "[]"),
    ("hibernation/configured", "false"),
    ("instance-action", "none"),
    ("instance-id", INSTANCE),
    ("instance-life-cycle", "on-demand"),
    ("instance-type", INSTANCE_TYPE),
    ("placement/availability-zone", ZONE),
    ("placement/availability-zone-id", "euw1-az1"),
    ("placement/region", REGION),
    ("profile", "default-hvm"),
    // Unlike other listings, this one pairs each name with a title.
    ("public-keys/", "0=sandbox"),
    ("public-keys/0/openssh-key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAISandboxKeyThatNoHostAccepts sandbox"),
    ("reservation-id", "r-0123456789abcdef0"),
    ("security-groups", SECURITY_GROUP),
    ("services/domain", "amazonaws.com"),
    ("services/partition", "aws"),
    ("system", "nitro"),
    ("tags/instance/Environment", "sandbox"),
    ("tags/instance/Name", "sandbox-node"),
];

const NETWORK_TEXTS: &[(&str, &str)] = &[
    ("hostname", PRIVATE_NAME),
    ("ipv6", IPV6),
    ("local-hostname", PRIVATE_NAME),
    ("local-ipv4", PRIVATE_IP),
    ("mac", MAC),
    ("public-hostname", PUBLIC_NAME),
    ("public-ipv4", PUBLIC_IP),
];

/// Below `meta-data/network/interfaces/macs/MAC/`.
const INTERFACE_TEXTS: &[(&str, &str)] = &[
    ("device-number", "0"),
    ("interface-id", "eni-0123456789abcdef0"),
    ("ipv6s", IPV6),
    ("local-hostname", PRIVATE_NAME),
    ("local-ipv4s", PRIVATE_IP),
    ("mac", MAC),
    ("network-card", "0"),
    ("owner-id", ACCOUNT),
    ("public-hostname", PUBLIC_NAME),
    ("public-ipv4s", PUBLIC_IP),
    ("security-group-ids", "sg-0123456789abcdef0"),
    ("security-groups", SECURITY_GROUP),
    ("subnet-id", "subnet-0123456789abcdef0"),
    ("subnet-ipv4-cidr-block", "10.0.0.0/24"),
    ("subnet-ipv6-cidr-blocks", "2001:db8::/64"),
    ("vpc-id", "vpc-0123456789abcdef0"),
    ("vpc-ipv4-cidr-block", "10.0.0.0/16"),
    ("vpc-ipv4-cidr-blocks", "10.0.0.0/16"),
    ("vpc-ipv6-cidr-blocks", "2001:db8::/56"),
];

/// The document has the fields of version 2017-09-30; its signatures are base64 of a text which says that nothing is
/// signed.
fn identity() -> Vec<(String, String)> {
    let document = serde_json::json!({
        "accountId": ACCOUNT,
        "architecture": "x86_64",
        "availabilityZone": ZONE,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": IMAGE,
        "instanceId": INSTANCE,
        "instanceType": INSTANCE_TYPE,
        "kernelId": null,
        "pendingTime": LAUNCHED,
        "privateIp": PRIVATE_IP,
        "ramdiskId": null,
        "region": REGION,
        "version": "2017-09-30",
    });
    let signature = "VGhlIHNhbmRib3ggc2lnbnMgbm90aGluZy4=";
    let at = |name: &str, text: &str| (format!("dynamic/{name}"), text.to_owned());
    vec![
        at("fws/instance-monitoring", "disabled"),
        at("instance-identity/document", &format!("{document:#}")),
        at("instance-identity/dsa2048", signature),
        at("instance-identity/pkcs7", signature),
        at("instance-identity/rsa2048", signature),
        at("instance-identity/signature", signature),
    ]
}

/// Documents that the catalogue denies to every pod. Only the gateway itself reads `iam/info`.
fn credentials() -> Vec<(String, String)> {
    let info = serde_json::json!({
        "Code": "Success",
        "LastUpdated": LAUNCHED,
        "InstanceProfileArn": format!("arn:aws:iam::{ACCOUNT}:instance-profile/{NODE_ROLE}"),
        "InstanceProfileId": "AIPA0123456789EXAMPLE",
    });
    let secret = serde_json::json!({
        "Code": "Success",
        "LastUpdated": LAUNCHED,
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": NODE_SECRET,
        "Token": NODE_SECRET,
        "Expiration": "2099-01-01T00:00:00Z",
    });
    let at = |path: String, text: String| (format!("meta-data/{path}"), text);
    vec![
        at("iam/info".to_owned(), format!("{info:#}")),
        at(format!("iam/security-credentials/{NODE_ROLE}"), format!("{secret:#}")),
        at(format!("iam/security-credentials-extended/{NODE_ROLE}"), format!("{secret:#}")),
        at("identity-credentials/ec2/security-credentials/ec2-instance".to_owned(), format!("{secret:#}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{AllowList, Catalogue};

    fn read(path: &str) -> String {
        let document = SandboxInstance::new().answer(path).unwrap_or_else(|| panic!("no {path}"));
        String::from_utf8(document.body.to_vec()).unwrap()
    }

    #[test]
    fn the_identity_document_says_what_the_entries_say() {
        let document: serde_json::Value = serde_json::from_str(&read("dynamic/instance-identity/document")).unwrap();
        for (field, path) in [
            ("instanceId", "meta-data/instance-id"),
            ("instanceType", "meta-data/instance-type"),
            ("imageId", "meta-data/ami-id"),
            ("region", "meta-data/placement/region"),
            ("availabilityZone", "meta-data/placement/availability-zone"),
            ("privateIp", "meta-data/local-ipv4"),
            ("accountId", "meta-data/network/interfaces/macs/00:00:5e:00:53:01/owner-id"),
        ] {
            assert_eq!(document[field], read(path), "{field}");
        }
    }

    #[test]
    fn listings_are_those_of_imds() {
        assert_eq!(read("meta-data/network/interfaces/macs/"), "00:00:5e:00:53:01/");
        assert_eq!(read("meta-data/tags/instance/"), "Environment\nName");
        assert_eq!(read("meta-data/public-keys/"), "0=sandbox");
        assert_eq!(read("meta-data/placement/"), "availability-zone\navailability-zone-id\nregion");
        assert!(SandboxInstance::new().answer("meta-data/placement").is_none());
    }

    #[test]
    fn every_document_is_in_the_catalogue_or_is_the_nodes_own() {
        for path in SandboxInstance::new().paths() {
            let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
            let found = Catalogue::find(&segments).is_some();
            let own = path.starts_with("meta-data/iam/") || path.starts_with("meta-data/identity-credentials/");
            let listed = path == "meta-data/public-keys/" && Catalogue::listing(&segments, &everything()).is_some();
            assert!(found != own || listed, "{path}");
        }
    }

    #[test]
    fn every_credential_carries_the_mark() {
        let marked = SandboxInstance::new()
            .documents
            .into_iter()
            .filter(|(_, document)| String::from_utf8_lossy(&document.body).contains(NODE_SECRET));
        let paths: Vec<_> = marked.map(|(path, _)| path).collect();
        assert_eq!(paths.len(), 3);
        assert!(paths.iter().all(|path| path.contains("/security-credentials")));
    }

    fn everything() -> AllowList {
        AllowList::parse(&["meta-data", "dynamic", "user-data"].map(str::to_owned)).unwrap()
    }
}
