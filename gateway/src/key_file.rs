//! Files that hold secret keys: 32 bytes in base64, one per line. The gateway makes a missing file, and refuses one
//! that others can read.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}: is not 32 bytes in base64; make one with `head -c 32 /dev/urandom | base64`")]
    Malformed { path: PathBuf, line: usize },
    #[error("{path} holds no key; delete it and a new one is made at the next start")]
    Empty { path: PathBuf },
    #[error("{path} can be read by others (mode {mode:o}); run `chmod 600` on it")]
    Exposed { path: PathBuf, mode: u32 },
}

/// The contents of a file: at least one key.
pub(crate) struct KeyFile {
    pub(crate) keys: Vec<Key>,
    /// The user id of the file's owner.
    pub(crate) owner: u32,
}

impl KeyFile {
    pub(crate) fn read(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?;
        let mode = found.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(io)?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let malformed = || KeyFileError::Malformed { path: path.to_owned(), line: index + 1 };
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(line.trim()).map_err(|_| malformed())?);
            keys.push(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| malformed())?));
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty { path: path.to_owned() });
        }
        Ok(Self { keys, owner: found.uid() })
    }

    /// Makes a file with a new key if there is none, and reads the file.
    pub(crate) fn read_or_make(path: &Path) -> Result<Self, KeyFileError> {
        make(path).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
        Self::read(path)
    }
}

pub(crate) fn fresh() -> Key {
    Zeroizing::new(rand::random())
}

/// The file appears complete or not at all: another gateway may be reading it at its start.
fn make(path: &Path) -> std::io::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        found => return found.map(|_| ()),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let line = Zeroizing::new(format!("{}\n", BASE64_STANDARD.encode(fresh().as_slice())));
    file.write_all(line.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(failed) if failed.error.kind() != ErrorKind::AlreadyExists => Err(failed.error),
        _ => Ok(()),
    }
}
