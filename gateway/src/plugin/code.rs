//! A plugin's bytes: built in, or from a file. A file's digest may be pinned, and the file may need a signature.

use std::{fs::File, io::Read, path::Path};

use metagate_plugin_artifacts::Builtin;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use super::{LoadError, artifact::digest_hex, signature};
use crate::config::{self, PluginCode, PublicKey};

/// componentize-py's smallest guest is 18.4 MB; nobody's policy is larger.
pub(crate) const FILE_MAX: u64 = 32 << 20;

pub(super) enum Code {
    Builtin(&'static Builtin),
    File { wasm: Vec<u8>, digest: [u8; 32] },
}

impl Code {
    /// SHA-256 of the component.
    pub(super) fn digest(&self) -> [u8; 32] {
        match self {
            Self::Builtin(builtin) => Sha256::digest(builtin.wasm).into(),
            Self::File { digest, .. } => *digest,
        }
    }

    pub(super) fn compile(&self, engine: &Engine) -> wasmtime::Result<Component> {
        match self {
            Self::Builtin(builtin) => builtin.load(engine),
            Self::File { wasm, .. } => Component::new(engine, wasm),
        }
    }
}

/// Reads a file once, so that the checked bytes are the compiled bytes.
pub(super) async fn read(keys: &[PublicKey], settings: &config::Plugin) -> Result<Code, LoadError> {
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
            let (keys, file, pinned) = (keys.to_vec(), path.clone(), *sha256);
            // Hashing tens of megabytes would hold up requests.
            match tokio::task::spawn_blocking(move || read_file(&keys, plugin, &file, pinned)).await {
                Ok(read) => read,
                Err(panic) => {
                    let (plugin, path, source) = (settings.name.clone(), path.clone(), std::io::Error::other(panic));
                    Err(LoadError::Read { plugin, path, source })
                }
            }
        }
    }
}

fn read_file(keys: &[PublicKey], plugin: String, path: &Path, pinned: Option<[u8; 32]>) -> Result<Code, LoadError> {
    let io = |source| LoadError::Read { plugin: plugin.clone(), path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    if bytes > FILE_MAX {
        return Err(LoadError::TooLarge { plugin, path: path.to_owned(), bytes });
    }
    let mut wasm = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut wasm).map_err(io)?;
    let digest: [u8; 32] = Sha256::digest(&wasm).into();
    if let Some(pinned) = pinned.filter(|pinned| *pinned != digest) {
        let (found, pinned) = (digest_hex(&digest), digest_hex(&pinned));
        return Err(LoadError::Pin { plugin, path: path.to_owned(), found, pinned });
    }
    match signature::verify(keys, path, &wasm) {
        Ok(()) => Ok(Code::File { wasm, digest }),
        Err(error) => Err(LoadError::Signature { plugin, error }),
    }
}
