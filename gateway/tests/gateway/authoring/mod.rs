//! The commands for plugin authors: what a new project contains, what `inspect` prints of a component, and what cases
//! show.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test states what it expects by them")]

mod cases;
mod examples;
mod inspect;
mod project;
mod trials;
mod tutorial;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use metagate::{
    authoring::{self, Cases, Report},
    plugin::Host,
};
use tempfile::TempDir;

/// The result of a finished run of the program.
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

/// Variables of this test's own cargo that must not be inherited; see `plugins/artifacts/build/guest.rs`.
const NOT_INHERITED: [&str; 8] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_INCREMENTAL",
];

/// The target folder of all projects and runs, so that dependencies are built once. One build runs at a time: all
/// projects give their SDK the same name, and cargo does not tell these SDKs apart.
pub(crate) fn target() -> (PathBuf, MutexGuard<'static, ()>) {
    static BUILDING: Mutex<()> = Mutex::new(());
    let alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    (Path::new(env!("CARGO_TARGET_TMPDIR")).join("authoring"), alone)
}

/// An author's command, in the folder of a project.
pub(crate) fn authors(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    // The gateway takes a variable with this prefix for a key of its configuration.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("METAGATE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Copies the repository's own lock: what it pins is already there if this runs without a network.
pub(crate) fn lock(project: &Path) {
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"), project.join("Cargo.lock")).unwrap();
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

/// Runs cases with a component.
pub(crate) async fn tried(wasm: &[u8], cases: &str) -> Report {
    let cases = Cases::parse(Path::new("cases.toml"), cases).unwrap_or_else(|faults| panic!("{faults}"));
    let folder = Folder::with(&[("guest.wasm", wasm)]);
    authoring::run(host(), &cases, &folder.file("guest.wasm")).await.unwrap()
}
