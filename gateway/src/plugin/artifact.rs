//! Loads a plugin: reads its component, checks the pin, compiles and vets it, and initialises the plugin.

use std::{path::PathBuf, sync::Arc};

use tracing::instrument::WithSubscriber;
use wasmtime::component::Component;

use super::{
    Host, PluginError,
    bindings::PolicyPluginPre,
    call::{CallState, Instance, InterestError},
    code::{self, FILE_MAX},
    component::{self, COMPILE_MAX, Surface},
    signature::SignatureError,
    version::{self, INTERFACE},
};
use crate::{
    config::{self, Mode},
    interest::Interest,
};

/// A loaded plugin, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Parts>);

struct Parts {
    name: Arc<str>,
    digest: [u8; 32],
    interface: String,
    settings: config::Plugin,
    config_json: String,
    interest: Interest,
    pre: PolicyPluginPre<CallState>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("plugin {plugin}: {path}: {source} (put the file there, or take the plugin out of the configuration)")]
    Read { plugin: String, path: PathBuf, source: std::io::Error },
    #[error("plugin {plugin}: {path} has {bytes} bytes; a component may have {FILE_MAX} (strip its debug information)")]
    TooLarge { plugin: String, path: PathBuf, bytes: u64 },
    #[error(
        "plugin {plugin}: {path} has sha256 {found}, but the configuration pins {pinned} (pin the new one if the file was meant to change)"
    )]
    Pin { plugin: String, path: PathBuf, found: String, pinned: String },
    #[error("plugin {plugin}: {error}")]
    Signature { plugin: String, error: SignatureError },
    #[error("plugin {plugin}: there is no built-in plugin {builtin}; there are {known}")]
    NoBuiltin { plugin: String, builtin: String, known: String },
    #[error(
        "plugin {plugin}: is not a component of this engine: {detail} (build it as plugin-sdk/README.md says; a core module has to be wrapped)"
    )]
    Component { plugin: String, detail: String },
    #[error(
        "plugin {plugin}: took more than {} s of processor time to compile (a component of the usual toolchains takes seconds: check where this one comes from, or build it smaller)",
        COMPILE_MAX.as_secs()
    )]
    CompileTime { plugin: String },
    #[error(
        "plugin {plugin}: imports {import}; a plugin gets metagate:policy/host and nothing else (build it without WASI, or with WASI stubbed)"
    )]
    ForeignImport { plugin: String, import: String },
    #[error(
        "plugin {plugin}: is not of the world metagate:policy/policy-plugin@{INTERFACE}: {detail} (build it for the interface in plugin-sdk/wit)"
    )]
    World { plugin: String, detail: String },
    #[error(
        "plugin {plugin}: built for metagate:policy@{found}; this gateway has {INTERFACE} and runs plugins of {}: rebuild it, or take a gateway that has {}",
        version::line(INTERFACE),
        version::line(found)
    )]
    Version { plugin: String, found: String },
    #[error(
        "plugin {plugin}: built for metagate:policy@{found}, and needs more of it than this gateway's {INTERFACE} has: {detail} (rebuild it for {INTERFACE}, or take a gateway that has {found})"
    )]
    Later { plugin: String, found: String, detail: String },
    #[error("{0}; its config may be at fault")]
    Init(PluginError),
    #[error(
        "plugin {plugin}: asks for the time (`now` is in its interest's attributes), which it is not granted (set clock = true in its [[plugin]] table)"
    )]
    Clock { plugin: String },
}

/// A component that is read and compiled but not vetted: a plugin without its configuration.
pub struct Compiled {
    name: String,
    digest: [u8; 32],
    component: Component,
}

impl Compiled {
    pub async fn of(host: &Host, settings: &config::Plugin) -> Result<Self, LoadError> {
        let name = settings.name.clone();
        let code = code::read(&host.public_keys, settings).await?;
        let digest = code.digest();
        Ok(Self { component: component::compile(host, &name, code).await?, name, digest })
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub fn surface(&self, host: &Host) -> Surface {
        component::surface(host, &self.component)
    }

    /// Why the loader refuses the component, before any of its code runs.
    pub fn vet(&self, host: &Host) -> Result<(), LoadError> {
        self.pre(host).map(|_| ())
    }

    fn pre(&self, host: &Host) -> Result<PolicyPluginPre<CallState>, LoadError> {
        component::vet(host, &self.name, &self.component)?;
        component::pre_instantiate(host, &self.name, &self.component)
    }
}

impl Plugin {
    /// Loads a plugin on the plugin threads, `init` included.
    pub async fn load(host: &Host, settings: config::Plugin) -> Result<Self, LoadError> {
        Self::load_reusing(&[], host, settings).await
    }

    /// Like [`Self::load`], but reuses what `running` has, because compiling a Python plugin takes 10 s and 320 MB.
    /// Equal bytes are not compiled again; equal bytes with equal settings give the running plugin.
    pub async fn load_reusing(running: &[Self], host: &Host, settings: config::Plugin) -> Result<Self, LoadError> {
        let plugin = settings.name.clone();
        let ended = |detail: String| LoadError::Component { plugin, detail };
        let (running, own_host) = (running.to_vec(), host.clone());
        let loading = async move { Self::load_here(&running, &own_host, settings).await };
        match host.threads().spawn(loading.with_current_subscriber()) {
            Some(loading) => loading.await.unwrap_or_else(|panic| Err(ended(panic.to_string()))),
            None => Err(ended("the plugin engine is stopping".into())),
        }
    }

    async fn load_here(running: &[Self], host: &Host, settings: config::Plugin) -> Result<Self, LoadError> {
        let name = settings.name.clone();
        let code = code::read(&host.public_keys, &settings).await?;
        let digest = code.digest();
        let mut same_code = running.iter().filter(|plugin| plugin.0.digest == digest);
        if let Some(same) = same_code.clone().find(|plugin| plugin.0.settings == settings) {
            return Ok(same.clone());
        }
        let pre = match same_code.next() {
            Some(plugin) => plugin.0.pre.clone(),
            None => Compiled { component: component::compile(host, &name, code).await?, name, digest }.pre(host)?,
        };
        Self::started(host, digest, pre, settings).await
    }

    /// Starts a plugin on the caller's own threads.
    pub async fn configured(host: &Host, compiled: &Compiled, settings: config::Plugin) -> Result<Self, LoadError> {
        Self::started(host, compiled.digest, compiled.pre(host)?, settings).await
    }

    async fn started(
        host: &Host,
        digest: [u8; 32],
        pre: PolicyPluginPre<CallState>,
        settings: config::Plugin,
    ) -> Result<Self, LoadError> {
        let name = settings.name.clone();
        let config_json = settings.config.to_string();
        let interest = Interest::default();
        let interface = component::built_for(host, pre.instance_pre().component()).unwrap_or_default();
        let mut parts = Parts { name: name.as_str().into(), digest, interface, settings, config_json, interest, pre };
        // Asked once, at load: a wrong configuration refuses the plugin here, and not in a pod's request.
        let interest = Instance::first(host, &parts.pre, &parts.settings, &parts.config_json).await;
        parts.interest = interest.map_err(|error| match error {
            InterestError::World(error) => {
                component::another_world(host, &parts.name, parts.pre.instance_pre().component(), &error)
            }
            InterestError::Fault(fault) => LoadError::Init(fault),
        })?;
        if parts.interest.asks_for_clock() && !parts.settings.clock {
            return Err(LoadError::Clock { plugin: name });
        }
        Ok(Self(Arc::new(parts)))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name to store with each of its answers.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.0.name)
    }

    pub fn mode(&self) -> Mode {
        self.0.settings.mode
    }

    /// Whether its code comes with the gateway.
    pub fn is_builtin(&self) -> bool {
        matches!(self.0.settings.code, config::PluginCode::Builtin(_))
    }

    pub fn interest(&self) -> &Interest {
        &self.0.interest
    }

    /// Whether it asks for the time and the operator permits that: then its answers can change with time alone.
    pub fn reads_clock(&self) -> bool {
        self.0.settings.clock && self.0.interest.asks_for_clock()
    }

    /// The version of the interface that it was built for.
    pub fn interface(&self) -> &str {
        &self.0.interface
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    pub fn settings(&self) -> &config::Plugin {
        &self.0.settings
    }

    /// Whether this is the same plugin as `other`, and not only an equal one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A fresh instance, initialised. Use it for one decision and drop it.
    pub async fn instance(&self, host: &Host) -> Result<Instance, PluginError> {
        Instance::fresh(host, &self.0.pre, &self.0.settings, &self.0.config_json).await
    }
}

pub fn digest_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
