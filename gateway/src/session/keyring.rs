//! The keys that session tokens are sealed with.

use std::path::Path;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::key_file::{self, Key, KeyFile, KeyFileError};

/// HMAC-SHA256 (RFC 2104): the key is hashed once, here, and not for every token.
pub(super) type Sealer = Hmac<Sha256>;

/// The first key seals; every key opens. To change the key, put a new line on top of the file, and remove the old line
/// six hours later, when all of its tokens have expired.
pub struct Keyring(Vec<Sealer>);

impl Keyring {
    /// A key that exists in this process only: clients need new tokens after a restart.
    pub fn ephemeral() -> Self {
        Self(vec![sealer(&key_file::fresh())])
    }

    /// The keys in `path`. If there is no such file, it is created with a new key, readable by this user only.
    pub fn of_file(path: &Path) -> Result<Self, KeyFileError> {
        Ok(Self(KeyFile::read_or_make(path)?.keys.iter().map(sealer).collect()))
    }

    pub(super) fn sealing(&self) -> Option<&Sealer> {
        self.0.first()
    }

    #[cfg(test)]
    pub(super) fn joined_for_test(mut first: Self, second: Self) -> Self {
        first.0.extend(second.0);
        first
    }

    pub(super) fn opening(&self) -> impl Iterator<Item = &Sealer> {
        self.0.iter()
    }
}

fn sealer(key: &Key) -> Sealer {
    // HMAC itself pads a key that is shorter than a block in the same way.
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(&**key) {
        *to = *from;
    }
    Sealer::new((&*block).into())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

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
