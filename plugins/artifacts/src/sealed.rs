//! Native code as it may lie in a file: under a seal that only the holder of a key can make. To load native code is to run
//! it, and wasmtime takes what it is given for its own.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};
use zeroize::Zeroizing;

/// Makes seals and opens them: for one engine, with one key.
pub struct Seal {
    engine: Engine,
    mac: Hmac<Sha256>,
    maker: [u8; 32],
}

/// Why an entry is not loaded.
#[derive(Debug)]
pub enum SealError {
    /// Not sealed with this key, or not a seal of these bytes.
    Broken,
    /// Well sealed, but for another component or by another version.
    Other,
    /// Well sealed, and the engine does not take it all the same.
    Engine(wasmtime::Error),
}

/// What a sealed entry begins with; its last byte changes with the format.
const FORMAT: [u8; 16] = *b"metagate native\x01";
const TAG: usize = 32;
const BLOCK: usize = 64;
/// Format, maker, the component's digest.
const HEAD: usize = FORMAT.len() + 32 + 32;

impl Seal {
    #[must_use]
    pub fn new(engine: &Engine, key: &[u8; 32]) -> Self {
        // RFC 2104: a key that is shorter than SHA-256's block is filled up with zeros.
        let mut block = Zeroizing::new([0; BLOCK]);
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self { engine: engine.clone(), mac: Hmac::new((&*block).into()), maker: maker(engine) }
    }

    /// Stands for everything that native code depends on beside its component: this version, wasmtime's, the engine's
    /// settings, the CPU.
    #[must_use]
    pub fn maker(&self) -> &[u8; 32] {
        &self.maker
    }

    /// The native code of a component that this process compiled, and whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// Where memory is short.
    pub fn seal(&self, digest: &[u8; 32], component: &Component) -> wasmtime::Result<Vec<u8>> {
        let code = component.serialize()?;
        let head = self.head(digest);
        let tag = self.mac.clone().chain_update(head).chain_update(&code).finalize().into_bytes();
        Ok([&head[..], &tag[..], &code[..]].concat())
    }

    /// The component whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// Where the entry is not what `seal` made for this very component, with this key, for an engine like this one.
    pub fn open(&self, digest: &[u8; 32], entry: &[u8]) -> Result<Component, SealError> {
        let (head, rest) = entry.split_at_checked(HEAD).ok_or(SealError::Broken)?;
        let (tag, code) = rest.split_at_checked(TAG).ok_or(SealError::Broken)?;
        let mac = self.mac.clone().chain_update(head).chain_update(code);
        mac.verify_slice(tag).map_err(|_| SealError::Broken)?;
        if head != self.head(digest) {
            return Err(SealError::Other);
        }
        // SAFETY: `seal` alone makes such tags, of what wasmtime serialized in a process of this version that held the key.
        // These are the bytes that were verified: nobody else has them, and wasmtime copies them before it looks at them.
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

/// wasmtime gives what it depends on as something to hash, and not as text.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for 64 bits of it.
    fn finish(&self) -> u64 {
        0
    }
}
