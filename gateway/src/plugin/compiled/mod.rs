//! Compiled plugins in a folder, so that a restart need not compile them again.
//!
//! To load native code is to run it, so nothing in the folder is trusted for lying there: entries are sealed with a key that
//! only this gateway's user can read, and one that does not open is compiled anew. Who can write both folder and key is the
//! gateway.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, File, Metadata},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use metagate_plugin_artifacts::sealed::{Seal, SealError};
use rustix::{
    fs::{Mode, OFlags, Timespec, Timestamps, UTIME_NOW, futimens},
    process::geteuid,
};
use wasmtime::{Engine, component::Component};

use super::digest_hex;
use crate::{
    config,
    key_file::{KeyFile, KeyFileError},
};

/// Native code of the components that were seen last, and how to tell that it is ours.
pub(super) struct CompiledFolder {
    path: PathBuf,
    seal: Seal,
    /// One writer at a time, so that none takes another's unfinished file for one that was left behind.
    writing: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum CompiledError {
    #[error("plugin_files.compiled: {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("plugin_files.compiled: {path} is not a folder")]
    NotFolder { path: PathBuf },
    #[error(
        "plugin_files.compiled: others can write to {path} (mode {mode:o}), and what lies there is run; name a folder that is \
         not there yet, or run `chmod go-w` on it"
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error("{key}: {path} belongs to user {owner}, and this is user {us}; run this as that user, or `chown` it")]
    Foreign { key: &'static str, path: PathBuf, owner: u32, us: u32 },
    #[error("plugin_files.compiled_key_file: {0}")]
    Key(#[from] KeyFileError),
    #[error(
        "plugin_files.compiled_key_file: {path} holds {count} keys; keep one: a new key only has plugins compiled again"
    )]
    Keys { path: PathBuf, count: usize },
}

/// What lies in the folder for a component.
pub(super) enum Found {
    Kept(Component),
    Nothing,
    /// Something that was not run, and is gone now.
    Bad {
        path: PathBuf,
        why: Bad,
    },
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    #[error("{0}")]
    Refused(SealError),
    #[error("is not a regular file")]
    NotRegular,
    #[error("is larger than any compiled plugin")]
    TooLarge,
    #[error("{0}")]
    Io(std::io::Error),
}

/// A node has a handful of plugins; a live reload leaves the version before behind.
const ENTRIES_MAX: usize = 64;
/// Native code is three times a component of 12 MB, and a component has 32 MiB at most.
const BYTES_MAX: u64 = 256 << 20;
const SUFFIX: &str = ".native";
/// Of a file that is being written.
const UNFINISHED: &str = ".unfinished-";
/// Of an entry's name, of 32 bytes: a chance likeness is found out when it is opened.
const MAKER_BYTES: usize = 8;

/// Makes folder and key where they are not there yet; whoever only looks at a configuration leaves that to the gateway.
pub fn make(settings: &config::Compiled) -> Result<(), CompiledError> {
    let failed = |source| CompiledError::Folder { path: settings.folder.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&settings.folder).map_err(failed)?;
    KeyFile::read_or_make(&settings.key_file)?;
    Ok(())
}

impl CompiledFolder {
    /// None where there is no folder or no key yet, so that nothing can be kept there.
    pub(super) fn open(settings: &config::Compiled, engine: &Engine) -> Result<Option<Self>, CompiledError> {
        let path = settings.folder.clone();
        match fs::metadata(&path) {
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CompiledError::Folder { path, source }),
            Ok(found) => admit(&path, &found)?,
        }
        let key_file = &settings.key_file;
        let KeyFile { keys, owner } = match KeyFile::read(key_file) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let us = geteuid().as_raw();
        if owner != us {
            return Err(foreign("plugin_files.compiled_key_file", key_file, owner));
        }
        match keys.as_slice() {
            [key] => Ok(Some(Self { path, seal: Seal::new(engine, key), writing: Mutex::default() })),
            keys => Err(CompiledError::Keys { path: key_file.clone(), count: keys.len() }),
        }
    }

    /// The component whose SHA-256 is `digest`. What is found and is no entry of ours is removed.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Found {
        let path = self.entry(digest);
        let opened = match read(&path) {
            Err(Bad::Io(error)) if error.kind() == ErrorKind::NotFound => return Found::Nothing,
            read => read.and_then(|(file, entry)| {
                let component = self.seal.open(digest, &entry).map_err(Bad::Refused)?;
                Ok((file, component))
            }),
        };
        match opened {
            Ok((file, component)) => {
                // Those used last are kept. Where the folder is read-only, nothing is removed either.
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
                Found::Kept(component)
            }
            Err(why) => {
                let _ = fs::remove_file(&path);
                Found::Bad { path, why }
            }
        }
    }

    /// Appears whole or not at all.
    pub(super) fn keep(&self, digest: &[u8; 32], component: &Component) -> std::io::Result<()> {
        let sealed = self.seal.seal(digest, component).map_err(std::io::Error::other)?;
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
        file.write_all(&sealed)?;
        file.as_file().sync_all()?;
        file.persist(self.entry(digest))?;
        self.sweep()
    }

    /// Removes what other versions made, what was left unfinished, and entries beyond [`ENTRIES_MAX`]. Files that are named
    /// otherwise are somebody else's.
    fn sweep(&self) -> std::io::Result<()> {
        let ours = self.maker();
        let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match maker_in(&name) {
                Some(maker) if maker == ours => kept.push((entry.metadata()?.modified()?, entry.path())),
                Some(_) => fs::remove_file(entry.path())?,
                None if name.starts_with(UNFINISHED) => fs::remove_file(entry.path())?,
                None => {}
            }
        }
        kept.sort_by(|one, other| other.cmp(one));
        kept.iter().skip(ENTRIES_MAX).try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn entry(&self, digest: &[u8; 32]) -> PathBuf {
        self.path.join(format!("{}-{}{SUFFIX}", self.maker(), digest_hex(digest)))
    }

    fn maker(&self) -> String {
        digest_hex(self.seal.maker().first_chunk::<MAKER_BYTES>().unwrap_or(&[0; MAKER_BYTES]))
    }
}

/// Whoever can write to a folder can also put a file in the place of one that was looked at.
fn admit(path: &Path, found: &Metadata) -> Result<(), CompiledError> {
    let path = path.to_owned();
    let mode = found.mode() & 0o7777;
    if !found.is_dir() {
        return Err(CompiledError::NotFolder { path });
    }
    if mode & 0o022 != 0 {
        return Err(CompiledError::Writable { path, mode });
    }
    // root may do as it likes anyway.
    if found.uid() != geteuid().as_raw() && found.uid() != 0 {
        return Err(foreign("plugin_files.compiled", &path, found.uid()));
    }
    Ok(())
}

fn foreign(key: &'static str, path: &Path, owner: u32) -> CompiledError {
    CompiledError::Foreign { key, path: path.to_owned(), owner, us: geteuid().as_raw() }
}

/// The bytes are held from here on: what is verified is what is loaded, whatever becomes of the file.
fn read(path: &Path) -> Result<(File, Vec<u8>), Bad> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(Bad::NotRegular),
        Err(error) => return Err(Bad::Io(error.into())),
    };
    let found = file.metadata().map_err(Bad::Io)?;
    if !found.is_file() {
        return Err(Bad::NotRegular);
    }
    if found.len() > BYTES_MAX {
        return Err(Bad::TooLarge);
    }
    let mut bytes = Vec::new();
    (&mut file).take(BYTES_MAX).read_to_end(&mut bytes).map_err(Bad::Io)?;
    Ok((file, bytes))
}

/// The first half of an entry's name.
fn maker_in(name: &str) -> Option<&str> {
    let (maker, digest) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let hex = |text: &str, bytes: usize| text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_hexdigit());
    (hex(maker, MAKER_BYTES) && hex(digest, 32)).then_some(maker)
}
