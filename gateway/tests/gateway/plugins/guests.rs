//! The process's only host, and plugins in it. Compiling a guest takes a development build about a second, so all tests
//! share the guests that do what a pod's annotation says.

use std::{sync::OnceLock, time::Duration};

use metagate::{
    config::{self, Mode, PluginCode},
    plugin::{Host, LoadError, Plugin},
};
use metagate_plugin_artifacts::testing::HOSTILE;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The memory limit of a shared plugin's instance.
pub(crate) const MEMORY: usize = 16 << 20;

pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new().unwrap())
}

pub(crate) fn settings(name: &str, code: PluginCode, config: Value) -> config::Plugin {
    config::Plugin {
        name: name.to_owned(),
        code,
        mode: Mode::Enforce,
        // Four times the default: a guest that is to run out of memory must not run out of time first on a busy
        // machine.
        timeout: Duration::from_millis(200),
        memory: MEMORY,
        clock: false,
        cache: Duration::from_secs(60),
        config,
    }
}

pub(crate) fn builtin(name: &str, config: Value) -> config::Plugin {
    settings(name, PluginCode::Builtin(name.to_owned()), config)
}

/// Loads a component from a file that is removed afterwards.
pub(crate) async fn load(
    wasm: &[u8],
    change: impl FnOnce(config::Plugin) -> config::Plugin,
) -> Result<Plugin, LoadError> {
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(file.path(), wasm).unwrap();
    let code = PluginCode::File { path: file.path().to_owned(), sha256: None };
    Plugin::load(host(), change(settings("guest", code, json!({})))).await
}

/// A hostile guest that does what the pod's annotation with the guest's name says; see `pods`.
pub(crate) async fn scripted(name: &str, change: impl FnOnce(config::Plugin) -> config::Plugin) -> Plugin {
    let config = json!({ "script": name, "interest": { "labels": ["tier"] } });
    load(HOSTILE, |guest| change(config::Plugin { name: name.to_owned(), config, ..guest })).await.unwrap()
}

/// A guest that reads the clock, and denies every pod in `resolve` with a list of what it was shown: one key of each
/// kind of metadata, the image of one container, and the pod's annotations with one prefix. A pod may have a script for
/// it too.
pub(crate) async fn echo() -> Plugin {
    static ECHO: OnceCell<Plugin> = OnceCell::const_new();
    let config = json!({ "do": "echo", "script": "echo", "interest": {
        "labels": ["tier"],
        "annotations": ["example.com/*"],
        "namespace_labels": ["stage"],
        "namespace_annotations": ["owner"],
        "service_account_annotations": ["eks.amazonaws.com/role-arn"],
        "attributes": ["now", "image/app"],
    }});
    let clocked = |guest| config::Plugin { name: "echo".to_owned(), clock: true, config, ..guest };
    ECHO.get_or_init(async || load(HOSTILE, clocked).await.unwrap()).await.clone()
}

/// Three guests that are asked in this order.
pub(crate) async fn three() -> [Plugin; 3] {
    static THREE: OnceCell<[Plugin; 3]> = OnceCell::const_new();
    let load = async || {
        let (first, second, third) = tokio::join!(
            scripted("first", |guest| guest),
            scripted("second", |guest| guest),
            scripted("third", |guest| guest),
        );
        [first, second, third]
    };
    THREE.get_or_init(load).await.clone()
}
