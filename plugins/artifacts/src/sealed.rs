//! Native code in a file, under a seal (HMAC-SHA-256) that only the holder of a key can make. Loading native code means
//! running it, and wasmtime does not check where it comes from.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};
use zeroize::Zeroizing;

/// Seals entries and opens them, for one engine and with one key.
pub struct Seal {
    engine: Engine,
    mac: Hmac<Sha256>,
    maker: [u8; 32],
}

/// Why an entry is not loaded.
#[derive(Debug)]
pub enum SealError {
    /// Not sealed with this key, or changed since.
    Broken,
    /// The seal is valid, but for another component or version.
    Other,
    /// The seal is valid, but the engine does not load the code.
    Engine(wasmtime::Error),
}

/// The first bytes of a sealed entry; the last one changes with the format.
const FORMAT: [u8; 16] = *b"metagate native\x01";
const TAG: usize = 32;
const BLOCK: usize = 64;
/// Format, maker, the component's digest.
const HEAD: usize = FORMAT.len() + 32 + 32;

impl Seal {
    #[must_use]
    pub fn new(engine: &Engine, key: &[u8; 32]) -> Self {
        // RFC 2104: a key shorter than SHA-256's block is padded with zeros.
        let mut block = Zeroizing::new([0; BLOCK]);
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self { engine: engine.clone(), mac: Hmac::new((&*block).into()), maker: maker(engine) }
    }

    /// A digest of everything that native code depends on besides its component: this version, wasmtime's version, the
    /// engine's settings, the CPU.
    #[must_use]
    pub fn maker(&self) -> &[u8; 32] {
        &self.maker
    }

    /// Seals the native code of a component that this process compiled, and whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// If memory is short.
    pub fn seal(&self, digest: &[u8; 32], component: &Component) -> wasmtime::Result<Vec<u8>> {
        let code = component.serialize()?;
        let head = self.head(digest);
        let tag = self.mac.clone().chain_update(head).chain_update(&code).finalize().into_bytes();
        Ok([&head[..], &tag[..], &code[..]].concat())
    }

    /// Opens the entry of the component whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// If `seal` did not make the entry for this component, with this key and for an equal engine.
    pub fn open(&self, digest: &[u8; 32], entry: &[u8]) -> Result<Component, SealError> {
        let (head, rest) = entry.split_at_checked(HEAD).ok_or(SealError::Broken)?;
        let (tag, code) = rest.split_at_checked(TAG).ok_or(SealError::Broken)?;
        let mac = self.mac.clone().chain_update(head).chain_update(code);
        mac.verify_slice(tag).map_err(|_| SealError::Broken)?;
        if head != self.head(digest) {
            return Err(SealError::Other);
        }
        // SAFETY: only `seal` makes such tags, over code that wasmtime serialized in a process of this version with the
        // key. These are the verified bytes: nobody else can change them, and wasmtime copies them before it reads
        // them.
        #[expect(unsafe_code, reason = "loading native code is as trusted as the key that sealed it")]
        let loaded = unsafe { Component::deserialize(&self.engine, code) };
        loaded.map_err(SealError::Engine)
    }

    fn head(&self, digest: &[u8; 32]) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let parts = FORMAT.iter().chain(&self.maker).chain(digest);
        head.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        head
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("was not made by this gateway, or was changed"),
            Self::Other => f.write_str("is of another component or version: it was renamed"),
            Self::Engine(error) => write!(f, "does not load: {error}"),
        }
    }
}

fn maker(engine: &Engine) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new_with_prefix(FORMAT));
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// wasmtime gives its compatibility information only as a value to hash, not as text.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Unused: the digest is read from the field.
    fn finish(&self) -> u64 {
        0
    }
}
