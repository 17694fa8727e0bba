//! The keys that session tokens are sealed with.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// The first key seals; all of them open. Put a new line on top of the file to change the key, and drop the old one six
/// hours later, when no token of it can still be alive.
pub struct Keyring(Vec<XChaCha20Poly1305>);

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

impl Keyring {
    /// A key that dies with the process: clients mint anew after a restart.
    pub fn ephemeral() -> Self {
        Self(vec![cipher(&fresh_key())])
    }

    /// The keys in `path`; one is made, readable by this user only, where there is no such file.
    pub fn of_file(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => create(path).map_err(io)?,
            Err(error) => return Err(io(error)),
            Ok(found) => {
                let mode = found.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
                }
            }
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let malformed = || KeyFileError::Malformed { path: path.to_owned(), line: index + 1 };
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(line.trim()).map_err(|_| malformed())?);
            let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| malformed())?;
            keys.push(cipher(&Zeroizing::new(key)));
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty { path: path.to_owned() });
        }
        Ok(Self(keys))
    }

    pub(super) fn sealing(&self) -> Option<&XChaCha20Poly1305> {
        self.0.first()
    }

    #[cfg(test)]
    pub(super) fn joined_for_test(mut first: Self, second: Self) -> Self {
        first.0.extend(second.0);
        first
    }

    pub(super) fn opening(&self) -> impl Iterator<Item = &XChaCha20Poly1305> {
        self.0.iter()
    }
}

fn fresh_key() -> Zeroizing<[u8; KEY_BYTES]> {
    Zeroizing::new(rand::random())
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

fn create(path: &Path) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let line = Zeroizing::new(format!("{}\n", BASE64_STANDARD.encode(fresh_key().as_slice())));
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_made_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Keyring::of_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        Keyring::of_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Keyring::of_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keyring::of_file(&path), Err(KeyFileError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Keyring::of_file(&path).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("c2hvcnQ=\n");
        fs::write(&path, text).unwrap();
        let error = Keyring::of_file(&path).err().unwrap();
        assert!(matches!(error, KeyFileError::Malformed { line: 2, .. }), "{error}");
        assert!(!error.to_string().contains("c2hvcnQ"));
    }
}
