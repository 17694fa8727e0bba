//! What a plugin file contains: its imports and interest, its size, and whether the gateway would load it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    cases::production,
    table::{plugin_name, table},
};
use crate::{
    config::{self, PluginCode},
    interest::Interest,
    plugin::{Access, Compiled, FILE_MAX, Host, LoadError, Plugin, PluginErrorKind, digest_hex},
};

#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    pub file: PathBuf,
    pub bytes: u64,
    /// None if the file is too large to be read.
    pub sha256: Option<String>,
    pub kind: Kind,
    /// The version of `metagate:policy` that it exports; None if it exports no policy, or is not a component.
    pub interface: Option<String>,
    pub compile_microseconds: Option<u64>,
    pub exports: Vec<String>,
    pub imports: Vec<Import>,
    /// The memory of a fresh instance after `init`.
    pub init_microseconds: Option<u64>,
    pub memory_bytes: Option<usize>,
    pub memory_limit_bytes: usize,
    /// The keys of a workload that it reads, list by list.
    pub interest: Option<Vec<(&'static str, Vec<String>)>>,
    /// Whether it reads the time, which needs `clock = true`.
    pub wants_clock: bool,
    /// Why the gateway would not load it.
    pub refused: Option<String>,
    /// Why it refuses an empty configuration, if none was given.
    pub needs_config: Option<String>,
    /// The table to paste into metagate.toml.
    pub table: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Component,
    /// A core module, not yet wrapped as a component.
    Module,
    Other,
}

#[derive(Clone, Debug, Serialize)]
pub struct Import {
    pub name: String,
    pub access: Access,
}

const WRAP_IT: &str = "is a core module, and a plugin is a component: build it with linker = \"wasm-component-ld\" for \
    wasm32-unknown-unknown in .cargo/config.toml, as `metagate plugin new` writes it, or wrap it with `wasm-tools component new`";

/// No `config` means an empty one.
pub async fn inspect(host: &Host, file: &Path, config: Option<serde_json::Value>) -> io::Result<Inspection> {
    let bytes = tokio::fs::metadata(file).await?.len();
    let wasm = if bytes > FILE_MAX { Vec::new() } else { tokio::fs::read(file).await? };
    let digest: Option<[u8; 32]> = (bytes <= FILE_MAX).then(|| Sha256::digest(&wasm).into());
    let settings = settings(file, digest, config.clone()).map_err(io::Error::other)?;
    let mut found = Inspection {
        file: std::path::absolute(file)?,
        bytes,
        sha256: digest.as_ref().map(|digest| digest_hex(digest)),
        kind: Kind::of(&wasm),
        interface: None,
        compile_microseconds: None,
        exports: Vec::new(),
        imports: Vec::new(),
        init_microseconds: None,
        memory_bytes: None,
        memory_limit_bytes: settings.memory,
        interest: None,
        wants_clock: false,
        refused: None,
        needs_config: None,
        table: None,
    };
    let looked = found.look(host, &settings).await;
    found.judge(looked, config.is_some());
    if let (true, Some(sha256)) = (found.loads(), &found.sha256) {
        found.table = Some(table(&found.file, sha256, found.wants_clock, &settings.config));
    }
    Ok(found)
}

/// The gateway's default settings, pinned to the digest so that what is compiled is what was read.
fn settings(
    file: &Path,
    sha256: Option<[u8; 32]>,
    config: Option<serde_json::Value>,
) -> Result<config::Plugin, config::Diagnostics> {
    let (plugin, _) = production()?;
    let code = PluginCode::File { path: file.to_owned(), sha256 };
    let config = config.unwrap_or_else(|| serde_json::json!({}));
    // Inspection does not need the operator's permission to read the clock.
    Ok(config::Plugin { name: plugin_name(file), code, config, clock: true, ..plugin })
}

impl Inspection {
    pub fn loads(&self) -> bool {
        self.refused.is_none() && self.needs_config.is_none()
    }

    /// Stops at the first step that fails.
    async fn look(&mut self, host: &Host, settings: &config::Plugin) -> Result<(), LoadError> {
        let began = Instant::now();
        let compiled = Compiled::of(host, settings).await?;
        self.compile_microseconds = microseconds(began);
        let surface = compiled.surface(host);
        self.interface = surface.interface;
        self.exports = surface.exports;
        self.imports = surface.imports.into_iter().map(|(name, access)| Import { name, access }).collect();
        let plugin = Plugin::configured(host, &compiled, settings.clone()).await?;
        self.interest = Some(interest(plugin.interest()));
        self.wants_clock = plugin.reads_clock();
        let began = Instant::now();
        let instance = plugin.instance(host).await.map_err(LoadError::Init)?;
        self.init_microseconds = microseconds(began);
        self.memory_bytes = Some(instance.memory());
        Ok(())
    }

    fn judge(&mut self, looked: Result<(), LoadError>, configured: bool) {
        match looked {
            Ok(()) => {}
            Err(_) if self.kind == Kind::Module => self.refused = Some(WRAP_IT.to_owned()),
            Err(LoadError::Init(fault)) if fault.kind == PluginErrorKind::Error && !configured => {
                self.needs_config = Some(fault.detail);
            }
            Err(error) => self.refused = Some(error.to_string()),
        }
    }
}

fn microseconds(began: Instant) -> Option<u64> {
    u64::try_from(began.elapsed().as_micros()).ok()
}

fn interest(interest: &Interest) -> Vec<(&'static str, Vec<String>)> {
    interest.lists().map(|(list, keys)| (list, keys.written().collect())).into()
}

impl Kind {
    /// By the header: the magic word, then 1 for a module, or 13 and layer 1 for a component.
    fn of(wasm: &[u8]) -> Self {
        match wasm.get(..8) {
            Some(b"\0asm\x01\0\0\0") => Self::Module,
            Some(b"\0asm\x0d\0\x01\0") => Self::Component,
            _ => Self::Other,
        }
    }
}
