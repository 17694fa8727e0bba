//! Detached ed25519 signatures of plugin files, over the bytes that are compiled, by a key that the operator
//! configured.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{SIGNATURE_LENGTH, Signature};

use crate::config::PublicKey;

#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error(
        "{signature} is missing, but plugin_files.public_keys requires it (make it with `openssl pkeyutl -sign -inkey \
         key.pem -rawin -in {file} -out {signature}`)"
    )]
    Missing { file: PathBuf, signature: PathBuf },
    #[error("{signature}: {source}")]
    Read { signature: PathBuf, source: std::io::Error },
    #[error(
        "{signature} is not an ed25519 signature of 64 bytes, raw or in base64 (make it with `openssl pkeyutl \
         -sign -rawin` and an ed25519 key)"
    )]
    Malformed { signature: PathBuf },
    #[error(
        "{signature} is not a signature of {file} by any key in plugin_files.public_keys: the file or the key has \
         changed (sign the file again if it was meant to change, or add the key that signed it)"
    )]
    Wrong { file: PathBuf, signature: PathBuf },
}

/// The most bytes to read: 64 in base64, with line breaks, and some to spare.
const FILE_MAX: u64 = 256;

/// Checks that one of `keys` signed the file. Without keys no signature is required, and none is read.
pub(super) fn verify(keys: &[PublicKey], file: &Path, bytes: &[u8]) -> Result<(), SignatureError> {
    if keys.is_empty() {
        return Ok(());
    }
    let path = path_for(file);
    let signature = read(file, &path)?;
    if keys.iter().any(|key| key.verifies(bytes, &signature)) {
        return Ok(());
    }
    Err(SignatureError::Wrong { file: file.to_owned(), signature: path })
}

/// The path of a file's signature: `office-hours.wasm.sig`.
pub fn path_for(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".sig");
    name.into()
}

fn read(file: &Path, path: &Path) -> Result<Signature, SignatureError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => SignatureError::Missing { file: file.to_owned(), signature: path.to_owned() },
        _ => SignatureError::Read { signature: path.to_owned(), source },
    };
    let mut found = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut found)).map_err(failed)?;
    if found.len() != SIGNATURE_LENGTH {
        found.retain(|byte| !byte.is_ascii_whitespace());
        found = BASE64_STANDARD.decode(found).unwrap_or_default();
    }
    let malformed = |_| SignatureError::Malformed { signature: path.to_owned() };
    Ok(Signature::from_bytes(found.as_slice().try_into().map_err(malformed)?))
}
