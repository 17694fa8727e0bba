//! A component on its way from bytes to something that can be called: read, pinned, vetted, compiled, initialised.

use std::{path::PathBuf, sync::Arc, time::Duration};

use metagate_plugin_artifacts::Builtin;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use super::{
    Fault, Host, Interest,
    bindings::PolicyPluginPre,
    call::{CallState, Instance},
};
use crate::config::{self, Mode, PluginCode};

/// componentize-py's smallest guest is 18.4 MB; nobody's policy is larger.
const FILE_MAX: u64 = 32 << 20;
/// Compiling is the unsandboxed part: a crafted component of 300 KB takes 15 s.
const COMPILE_MAX: Duration = Duration::from_secs(30);

/// Ready to be asked. Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Parts>);

struct Parts {
    name: String,
    digest: [u8; 32],
    settings: config::Plugin,
    config_json: String,
    interest: Interest,
    pre: PolicyPluginPre<CallState>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("plugin {plugin}: {path}: {source}")]
    Read { plugin: String, path: PathBuf, source: std::io::Error },
    #[error("plugin {plugin}: {path} has {bytes} bytes; a component may have {FILE_MAX} (strip its debug information)")]
    TooLarge { plugin: String, path: PathBuf, bytes: u64 },
    #[error(
        "plugin {plugin}: {path} has sha256 {found}, but the configuration pins {pinned} (pin the new one if the file was meant to change)"
    )]
    Pin { plugin: String, path: PathBuf, found: String, pinned: String },
    #[error("plugin {plugin}: there is no built-in plugin {builtin}; there are {known}")]
    NoBuiltin { plugin: String, builtin: String, known: String },
    #[error(
        "plugin {plugin}: is not a component of this engine: {detail} (build it as plugin-sdk/README.md says; a core module has to be wrapped)"
    )]
    Component { plugin: String, detail: String },
    #[error("plugin {plugin}: took longer than {} s to compile", COMPILE_MAX.as_secs())]
    CompileTime { plugin: String },
    #[error(
        "plugin {plugin}: imports {import}; a plugin gets metagate:policy/host and nothing else (build it without WASI, or with WASI stubbed)"
    )]
    ForeignImport { plugin: String, import: String },
    #[error(
        "plugin {plugin}: is not of the world metagate:policy/policy-plugin@0.1.0: {detail} (build it for the interface in plugin-sdk/wit)"
    )]
    World { plugin: String, detail: String },
    #[error("{0}; its config may be at fault")]
    Init(Fault),
}

impl Plugin {
    pub async fn load(host: &Host, settings: config::Plugin) -> Result<Self, LoadError> {
        let name = settings.name.clone();
        let code = read(&settings).await?;
        let digest = Sha256::digest(code.wasm()).into();
        let component = compile(host, &name, code).await?;
        vet(host, &name, &component)?;
        let pre = pre_instantiate(host, &name, &component)?;
        let config_json = settings.config.to_string();
        let interest = Interest::default();
        let mut parts = Parts { name, digest, settings, config_json, interest, pre };
        // Asked once, at load: a plugin whose configuration is wrong is refused here and not at a pod's expense.
        parts.interest =
            Instance::first(host, &parts.pre, &parts.settings, &parts.config_json).await.map_err(LoadError::Init)?;
        Ok(Self(Arc::new(parts)))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn mode(&self) -> Mode {
        self.0.settings.mode
    }

    pub fn interest(&self) -> &Interest {
        &self.0.interest
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    pub fn settings(&self) -> &config::Plugin {
        &self.0.settings
    }

    /// A fresh instance, initialised. Use it for one decision and drop it.
    pub async fn instance(&self, host: &Host) -> Result<Instance, Fault> {
        Instance::fresh(host, &self.0.pre, &self.0.settings, &self.0.config_json).await
    }
}

enum Code {
    Builtin(&'static Builtin),
    File(Vec<u8>),
}

impl Code {
    fn wasm(&self) -> &[u8] {
        match self {
            Self::Builtin(builtin) => builtin.wasm,
            Self::File(wasm) => wasm,
        }
    }

    fn compile(&self, engine: &Engine) -> wasmtime::Result<Component> {
        match self {
            Self::Builtin(builtin) => builtin.load(engine),
            Self::File(wasm) => Component::new(engine, wasm),
        }
    }
}

async fn read(settings: &config::Plugin) -> Result<Code, LoadError> {
    let plugin = settings.name.clone();
    match &settings.code {
        PluginCode::Builtin(name) => match metagate_plugin_artifacts::builtin(name) {
            Some(found) => Ok(Code::Builtin(found)),
            None => {
                let known: Vec<&str> = metagate_plugin_artifacts::BUILTINS.iter().map(|builtin| builtin.name).collect();
                Err(LoadError::NoBuiltin { plugin, builtin: name.clone(), known: known.join(", ") })
            }
        },
        PluginCode::File { path, sha256 } => {
            let io = |source| LoadError::Read { plugin: plugin.clone(), path: path.clone(), source };
            let bytes = tokio::fs::metadata(path).await.map_err(io)?.len();
            if bytes > FILE_MAX {
                return Err(LoadError::TooLarge { plugin, path: path.clone(), bytes });
            }
            let wasm = tokio::fs::read(path).await.map_err(io)?;
            let found: [u8; 32] = Sha256::digest(&wasm).into();
            if let Some(pinned) = sha256.filter(|pinned| *pinned != found) {
                let (found, pinned) = (digest_hex(&found), digest_hex(&pinned));
                return Err(LoadError::Pin { plugin, path: path.clone(), found, pinned });
            }
            Ok(Code::File(wasm))
        }
    }
}

async fn compile(host: &Host, plugin: &str, code: Code) -> Result<Component, LoadError> {
    let engine = host.engine.clone();
    let work = tokio::task::spawn_blocking(move || code.compile(&engine));
    match tokio::time::timeout(COMPILE_MAX, work).await {
        Err(_) => Err(LoadError::CompileTime { plugin: plugin.into() }),
        Ok(Err(panic)) => Err(LoadError::Component { plugin: plugin.into(), detail: panic.to_string() }),
        Ok(Ok(made)) => made.map_err(|error| LoadError::Component { plugin: plugin.into(), detail: one_line(&error) }),
    }
}

/// Refuses what a plugin can never have. WASI is let through here: some toolchains cannot leave its imports out.
fn vet(host: &Host, plugin: &str, component: &Component) -> Result<(), LoadError> {
    match imports(host, component).find(|import| !is_ours(import) && !is_wasi(import)) {
        Some(import) => Err(LoadError::ForeignImport { plugin: plugin.into(), import }),
        None => Ok(()),
    }
}

fn pre_instantiate(host: &Host, plugin: &str, component: &Component) -> Result<PolicyPluginPre<CallState>, LoadError> {
    let world = |error: wasmtime::Error| LoadError::World { plugin: plugin.into(), detail: one_line(&error) };
    let mut linker = (*host.linker).clone();
    if imports(host, component).any(|import| is_wasi(&import)) {
        // Nothing real is granted: what is called of it traps.
        linker.define_unknown_imports_as_traps(component).map_err(world)?;
    }
    PolicyPluginPre::new(linker.instantiate_pre(component).map_err(world)?).map_err(world)
}

fn imports(host: &Host, component: &Component) -> impl Iterator<Item = String> {
    let imports: Vec<String> =
        component.component_type().imports(&host.engine).map(|(name, _)| name.to_owned()).collect();
    imports.into_iter()
}

fn is_ours(import: &str) -> bool {
    import.starts_with("metagate:policy/")
}

fn is_wasi(import: &str) -> bool {
    import.starts_with("wasi:")
}

pub(super) fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

pub fn digest_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
