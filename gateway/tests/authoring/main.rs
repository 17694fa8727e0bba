//! The commands for whoever writes a plugin: what a new project is, what a component is told to be, and what cases show.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test states what it expects by them")]

mod cases;
mod inspect;
mod project;
mod trials;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use metagate::{
    authoring::{self, Cases, Report},
    plugin::Host,
};
use tempfile::TempDir;

/// What a finished run of the program came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn metagate(arguments: &[&str], folder: &Path) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metagate"));
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with files in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        for (name, bytes) in files {
            fs::write(folder.file(name), bytes).unwrap();
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new().unwrap())
}

/// Puts cases to a component.
pub(crate) async fn tried(wasm: &[u8], cases: &str) -> Report {
    let cases = Cases::parse(Path::new("cases.toml"), cases).unwrap_or_else(|faults| panic!("{faults}"));
    let folder = Folder::with(&[("guest.wasm", wasm)]);
    authoring::run(host(), &cases, &folder.file("guest.wasm")).await.unwrap()
}
