//! A policy in which one plugin under test decides with two built-in ones: one resolves a pod's annotation to a role, one
//! allows it.

use std::{sync::OnceLock, time::Duration};

use metagate::roster::Entry;
use metagate::{
    clock::Clock,
    config::{self, Mode, PluginCode},
    plugin::{Host, LoadError, Plugin},
    policy::{Defaults, Policy, Rejection, Rules},
    workload::{Uid, Workload},
};
use serde_json::{Value, json};

/// Twice the default, of which the hostile Python guest's imports leave little.
const MEMORY: usize = 32 << 20;

pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new().unwrap())
}

fn settings(name: &str, code: PluginCode, config: Value) -> config::Plugin {
    config::Plugin {
        name: name.to_owned(),
        code,
        mode: Mode::Enforce,
        // Twenty times the default: a guest that is to run out of memory must not run out of time first on a busy
        // machine.
        timeout: Duration::from_secs(1),
        memory: MEMORY,
        clock: false,
        cache: Duration::from_secs(60),
        config,
    }
}

/// Loads a component from a file that is removed afterwards. A component of `loaded` is not compiled again.
pub(crate) async fn load(loaded: &[Plugin], wasm: &[u8], config: Value) -> Result<Plugin, LoadError> {
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(file.path(), wasm).unwrap();
    let code = PluginCode::File { path: file.path().to_owned(), sha256: None };
    Plugin::load_reusing(loaded, host(), settings("guest", code, config)).await
}

/// The plugin under test is asked first.
pub(crate) async fn policy(guest: Plugin) -> Policy {
    let builtin = async |name: &str, config| {
        let settings = settings(name, PluginCode::Builtin(name.to_owned()), config);
        Plugin::load(host(), settings).await.unwrap()
    };
    let annotations = builtin("annotations", json!({})).await;
    let regex = builtin("namespace-regex", json!({ "missing": "allow" })).await;
    let defaults = Defaults {
        mode: Mode::Enforce,
        base: Some("arn:aws:iam::123456789012:role/".parse().unwrap()),
        role: None,
        session_name: "{namespace}.{pod}".parse().unwrap(),
        session_duration: Duration::from_secs(3600),
        session_tags: false,
    };
    Policy::new(
        host().clone(),
        Rules::new(vec![guest, annotations, regex], defaults),
        Clock::system(),
        Box::new(|_| {}),
    )
}

/// A pod that asks for a role.
pub(crate) fn pod(name: &str, role: &str) -> Workload {
    Workload {
        namespace: "payments".into(),
        pod: name.into(),
        uid: Uid::derived("payments", name),
        service_account: "checkout".into(),
        annotations: [("iam.amazonaws.com/role".to_owned(), role.to_owned())].into(),
        ..Workload::default()
    }
}

/// What the pod gets: `granted ROLE`, `denied CODE: REASON`, or the failure.
pub(crate) async fn outcome(policy: &Policy, pod: Workload) -> String {
    let granted = policy.grant(Entry::from(pod).principal()).await;
    match granted.map_err(|rejected| rejected.rejection) {
        Ok(granted) => format!("granted {}", granted.grant.role().arn),
        Err(Rejection::Denied(denial)) => format!("denied {}: {}", denial.code, denial.reason),
        Err(Rejection::Failed(fault)) => format!("{}: {}", fault.kind.label(), fault.detail),
        Err(other) => format!("{other:?}"),
    }
}
