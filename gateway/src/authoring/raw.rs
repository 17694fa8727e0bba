//! What a cases file says, key by key. A key that takes a word or a table is still a value here, and `cases` and `expect`
//! read it.

use figment::value::{Dict, Value};
use serde::Deserialize;

use crate::pairs::Pairs;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) plugin: Plugin,
    pub(super) case: Vec<Case>,
}

/// A `[[plugin]]` table of the gateway's configuration, without the keys that only a gateway needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Plugin {
    pub(super) config: Dict,
    pub(super) clock: bool,
    pub(super) timeout: Option<String>,
    pub(super) memory: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) now: String,
    pub(super) config: Option<Dict>,
    pub(super) workload: Option<Workload>,
    pub(super) role: Option<Value>,
    pub(super) path: Option<String>,
    pub(super) expect: Expect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Workload {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) service_account: String,
    pub(super) node: String,
    pub(super) ips: Vec<String>,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
    pub(super) namespace_labels: Pairs,
    pub(super) namespace_annotations: Pairs,
    pub(super) service_account_annotations: Pairs,
    pub(super) images: Pairs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) init: Option<Value>,
    pub(super) resolve: Option<Value>,
    pub(super) authorize: Option<Value>,
    pub(super) authorize_path: Option<Value>,
}

/// The fields of a role beside its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Session {
    pub(super) source: Option<Value>,
    pub(super) session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) duration_seconds: Option<u32>,
    pub(super) tags: Pairs,
    pub(super) session_policy: Option<Value>,
    pub(super) policy_arns: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebIdentity {
    pub(super) web_identity: String,
    pub(super) regional: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Deny {
    pub(super) deny: String,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fails {
    pub(super) fails: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Error {
    pub(super) error: String,
}
