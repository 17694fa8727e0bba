//! A cache of compiled plugins in a folder, so that a restart does not compile them again.
//!
//! Loading native code means running it, so no file is trusted just because it is in the folder. Entries are sealed
//! with a key that only the gateway's user can read, and an entry with a wrong seal is compiled again. Whoever can
//! write both folder and key has the gateway's rights anyway.

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

/// The native code of the components that were used last, and the seal that proves that this gateway made it.
pub(super) struct CompiledFolder {
    path: PathBuf,
    seal: Seal,
    /// One writer at a time, so that no writer removes another's unfinished file as a leftover.
    writing: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum CompiledError {
    #[error("plugin_files.compiled: {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("plugin_files.compiled: {path} is not a folder")]
    NotFolder { path: PathBuf },
    #[error(
        "plugin_files.compiled: others can write to {path} (mode {mode:o}), and the gateway runs code from it; name a \
         folder that does not exist yet, or run `chmod go-w` on it"
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error(
        "{key}: {path} belongs to user {owner}, but this process runs as user {us}; run it as that user, or `chown` the path"
    )]
    Foreign { key: &'static str, path: PathBuf, owner: u32, us: u32 },
    #[error("plugin_files.compiled_key_file: {0}")]
    Key(#[from] KeyFileError),
    #[error(
        "plugin_files.compiled_key_file: {path} holds {count} keys; leave only one (with a new key, plugins are only \
         compiled again)"
    )]
    Keys { path: PathBuf, count: usize },
}

/// The folder's entry for a component.
pub(super) enum Found {
    Cached(Component),
    Nothing,
    /// An entry that was not loaded, and is removed.
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

/// A node has a handful of plugins; a live reload leaves the previous version of one.
const ENTRIES_MAX: usize = 64;
/// A component of 12 MB has three times as much native code, and a component has 32 MiB at most.
const BYTES_MAX: u64 = 256 << 20;
const SUFFIX: &str = ".native";
/// The name prefix of a file that is being written.
const UNFINISHED: &str = ".unfinished-";
/// How many of the maker's 32 bytes are in an entry's name. Two makers that share them are told apart when the entry is
/// opened.
const MAKER_BYTES: usize = 8;

/// Makes the folder and the key if they are missing. Commands that only check a configuration do not call this.
pub fn make(settings: &config::Compiled) -> Result<(), CompiledError> {
    let failed = |source| CompiledError::Folder { path: settings.folder.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&settings.folder).map_err(failed)?;
    KeyFile::read_or_make(&settings.key_file)?;
    Ok(())
}

impl CompiledFolder {
    /// None if the folder or the key does not exist yet: then nothing can be cached.
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

    /// Finds the component whose SHA-256 is `digest`. An entry that does not open is removed.
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
                // The sweep goes by time of last use. In a read-only folder this fails, but there is no sweep either.
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
                Found::Cached(component)
            }
            Err(why) => {
                let _ = fs::remove_file(&path);
                Found::Bad { path, why }
            }
        }
    }

    /// The entry appears complete or not at all.
    pub(super) fn store(&self, digest: &[u8; 32], component: &Component) -> std::io::Result<()> {
        let sealed = self.seal.seal(digest, component).map_err(std::io::Error::other)?;
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
        file.write_all(&sealed)?;
        file.as_file().sync_all()?;
        file.persist(self.entry(digest))?;
        self.sweep()
    }

    /// Removes entries of other versions, unfinished files, and entries beyond [`ENTRIES_MAX`]. Files with other names
    /// are not the gateway's.
    fn sweep(&self) -> std::io::Result<()> {
        let ours = self.maker();
        let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match maker_in(&name) {
                Some(maker) if maker == ours => entries.push((entry.metadata()?.modified()?, entry.path())),
                Some(_) => fs::remove_file(entry.path())?,
                None if name.starts_with(UNFINISHED) => fs::remove_file(entry.path())?,
                None => {}
            }
        }
        entries.sort_by(|one, other| other.cmp(one));
        entries.iter().skip(ENTRIES_MAX).try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn entry(&self, digest: &[u8; 32]) -> PathBuf {
        self.path.join(format!("{}-{}{SUFFIX}", self.maker(), digest_hex(digest)))
    }

    fn maker(&self) -> String {
        digest_hex(self.seal.maker().first_chunk::<MAKER_BYTES>().unwrap_or(&[0; MAKER_BYTES]))
    }
}

/// Refuses a folder that others can write to: they could replace a file after it was checked.
fn admit(path: &Path, found: &Metadata) -> Result<(), CompiledError> {
    let path = path.to_owned();
    let mode = found.mode() & 0o7777;
    if !found.is_dir() {
        return Err(CompiledError::NotFolder { path });
    }
    if mode & 0o022 != 0 {
        return Err(CompiledError::Writable { path, mode });
    }
    // root has every right anyway.
    if found.uid() != geteuid().as_raw() && found.uid() != 0 {
        return Err(foreign("plugin_files.compiled", &path, found.uid()));
    }
    Ok(())
}

fn foreign(key: &'static str, path: &Path, owner: u32) -> CompiledError {
    CompiledError::Foreign { key, path: path.to_owned(), owner, us: geteuid().as_raw() }
}

/// Reads the bytes into memory, so that the verified bytes are the loaded ones, even if the file changes.
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

/// The maker in an entry's name.
fn maker_in(name: &str) -> Option<&str> {
    let (maker, digest) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let hex = |text: &str, bytes: usize| text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_hexdigit());
    (hex(maker, MAKER_BYTES) && hex(digest, 32)).then_some(maker)
}
