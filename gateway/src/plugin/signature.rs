//! Detached signatures of plugin files: ed25519, over the very bytes that are compiled, by a key that the operator named.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, VerifyingKey};

/// Whose signatures are taken.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    #[error("is not base64")]
    Base64,
    #[error("is a private key: take it for known to others, and sign with a new one")]
    Private,
    #[error("is no public key of ed25519")]
    Kind,
    #[error("is a key that anybody can sign for")]
    Weak,
}

#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error(
        "{signature} is missing, and plugin_files.public_keys asks for it (make it with `openssl pkeyutl -sign -inkey key.pem \
         -rawin -in {file} -out {signature}`)"
    )]
    Missing { file: PathBuf, signature: PathBuf },
    #[error("{signature}: {source}")]
    Read { signature: PathBuf, source: std::io::Error },
    #[error(
        "{signature} is no ed25519 signature, which has 64 bytes, raw or in base64 (make it with `openssl pkeyutl -sign` of an \
         ed25519 key, with -rawin)"
    )]
    Malformed { signature: PathBuf },
    #[error(
        "{file} is not what {signature} signs with any key of plugin_files.public_keys: the file is another one, or the key is \
         (sign this file again if it was meant to change, or add the key that signed it)"
    )]
    Wrong { file: PathBuf, signature: PathBuf },
}

/// RFC 8410: what precedes the 32 bytes of an ed25519 key in a SubjectPublicKeyInfo. It has one encoding.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// RFC 5958: a private key holds the INTEGER 0 or 1 before its algorithm; a public one has no integer there.
const PRIVATE: [&[u8]; 2] = [&[0x02, 0x01, 0x00], &[0x02, 0x01, 0x01]];
/// More than 64 bytes are in base64, and with line breaks.
const FILE_MAX: u64 = 256;

/// By one of `keys`; there are no keys where nobody asks for signatures, and then nothing is read.
pub(super) fn verify(keys: &[PublicKey], file: &Path, bytes: &[u8]) -> Result<(), SignatureError> {
    if keys.is_empty() {
        return Ok(());
    }
    let path = beside(file);
    let signature = read(file, &path)?;
    // Strict: keys and signatures for which more than one message verifies are refused.
    if keys.iter().any(|key| key.0.verify_strict(bytes, &signature).is_ok()) {
        return Ok(());
    }
    Err(SignatureError::Wrong { file: file.to_owned(), signature: path })
}

/// Where a file's signature lies: `office-hours.wasm.sig`.
pub fn beside(file: &Path) -> PathBuf {
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

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let der = BASE64_STANDARD.decode(text).map_err(|_| PublicKeyError::Base64)?;
        if der.first_chunk::<7>().is_some_and(|head| PRIVATE.iter().any(|mark| head.windows(3).any(|at| at == *mark))) {
            return Err(PublicKeyError::Private);
        }
        let point = der.strip_prefix(&SPKI).and_then(|point| <&[u8; 32]>::try_from(point).ok());
        let key = VerifyingKey::from_bytes(point.ok_or(PublicKeyError::Kind)?).map_err(|_| PublicKeyError::Kind)?;
        if key.is_weak() { Err(PublicKeyError::Weak) } else { Ok(Self(key)) }
    }
}

/// As it is configured.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode([&SPKI[..], self.0.as_bytes()].concat()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
