//! A policy built from a frozen copy of the interface. It does not use the SDK, because that follows the current
//! interface. It uses every type, case and function of the interface; the pod's annotation `do` selects its answer.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "the generated exports of the canonical ABI"))]

wit_bindgen::generate!({ path: "wit", world: "policy-plugin" });

use exports::metagate::policy::plugin::{Guest, Interest, Resolution, Role, Verdict, Workload};
use metagate::policy::{
    host::{Level, log},
    types::{CredentialSource, Denial},
};

#[derive(Debug)]
pub struct Frozen;

impl Guest for Frozen {
    /// Logs the configuration at every level.
    fn init(config_json: String) -> Result<Interest, String> {
        for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error] {
            log(level, &config_json);
        }
        if config_json.contains("refuse") {
            return Err("frozen: asked to refuse".to_owned());
        }
        let keys = |key: &str| vec![key.to_owned()];
        Ok(Interest {
            labels: keys("label"),
            annotations: keys("do"),
            namespace_labels: keys("namespace-label"),
            namespace_annotations: keys("namespace-annotation"),
            service_account_annotations: keys("service-account-annotation"),
            attributes: vec!["now".to_owned(), "image/*".to_owned()],
        })
    }

    fn resolve(workload: Workload) -> Result<Resolution, String> {
        Ok(match asked(&workload) {
            "resolve-abstain" => Resolution::Abstain,
            "resolve-deny" => Resolution::Deny(denial(format!("{workload:?}"))),
            "resolve-err" => return Err("frozen: asked to fail".to_owned()),
            "web-identity" => Resolution::Role(Role {
                tags: Vec::new(),
                ..role(CredentialSource::WebIdentity("frozen-audience".to_owned()))
            }),
            "pod-identity" => Resolution::Role(role(CredentialSource::PodIdentity)),
            _ => Resolution::Role(role(CredentialSource::AssumeRole)),
        })
    }

    fn authorize(workload: Workload, role: Role) -> Result<Verdict, String> {
        Ok(match asked(&workload) {
            "authorize-abstain" => Verdict::Abstain,
            "authorize-deny" => Verdict::Deny(denial(format!("{role:?}"))),
            "authorize-err" => return Err("frozen: asked to fail".to_owned()),
            _ => Verdict::Allow,
        })
    }

    fn authorize_path(workload: Workload, path: String) -> Result<Verdict, String> {
        Ok(match asked(&workload) {
            "path-abstain" => Verdict::Abstain,
            "path-deny" => Verdict::Deny(denial(path)),
            "path-err" => return Err("frozen: asked to fail".to_owned()),
            _ => Verdict::Allow,
        })
    }
}

fn asked(workload: &Workload) -> &str {
    workload.annotations.iter().find(|(key, _)| key == "do").map_or("", |(_, deed)| deed.as_str())
}

fn denial(reason: String) -> Denial {
    Denial { code: "frozen".to_owned(), reason }
}

/// A role with a value in every field.
fn role(source: CredentialSource) -> Role {
    let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    Role {
        arn: "frozen/web".to_owned(),
        source,
        session_name: Some("frozen-session".to_owned()),
        external_id: Some("frozen-id".to_owned()),
        duration_seconds: Some(900),
        tags: pair("tag", "x"),
        session_policy: Some("{}".to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        attributes: pair("sts-regional-endpoints", "false"),
    }
}

#[cfg(target_arch = "wasm32")]
export!(Frozen);
