//! A plugin's bytes: the program's own, or a file's, whose digest may be pinned.

use metagate_plugin_artifacts::Builtin;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use super::{LoadError, artifact::digest_hex};
use crate::config::{self, PluginCode};

/// componentize-py's smallest guest is 18.4 MB; nobody's policy is larger.
pub(super) const FILE_MAX: u64 = 32 << 20;

pub(super) enum Code {
    Builtin(&'static Builtin),
    File(Vec<u8>),
}

impl Code {
    /// SHA-256 of the component.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.wasm()).into()
    }

    fn wasm(&self) -> &[u8] {
        match self {
            Self::Builtin(builtin) => builtin.wasm,
            Self::File(wasm) => wasm,
        }
    }

    pub(super) fn compile(&self, engine: &Engine) -> wasmtime::Result<Component> {
        match self {
            Self::Builtin(builtin) => builtin.load(engine),
            Self::File(wasm) => Component::new(engine, wasm),
        }
    }
}

pub(super) async fn read(settings: &config::Plugin) -> Result<Code, LoadError> {
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
