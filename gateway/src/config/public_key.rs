//! The public keys that plugin files may be signed with.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};

/// An ed25519 key whose signatures are accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    #[error("is not base64")]
    Base64,
    #[error("is a private key: treat it as compromised, and sign with a new one")]
    Private,
    #[error("is not an ed25519 public key")]
    Kind,
    #[error("is a weak key, which anybody can sign for")]
    Weak,
}

/// RFC 8410: what precedes the 32 bytes of an ed25519 key in a SubjectPublicKeyInfo. It has one encoding.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// RFC 5958: a private key holds the INTEGER 0 or 1 before its algorithm; a public one has no integer there.
const PRIVATE: [&[u8]; 2] = [&[0x02, 0x01, 0x00], &[0x02, 0x01, 0x01]];

impl PublicKey {
    /// Strict: refuses keys and signatures that verify for more than one message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, signature).is_ok()
    }
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

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;

    fn verifying(seed: u8) -> VerifyingKey {
        SigningKey::from_bytes(&[seed; 32]).verifying_key()
    }

    #[test]
    fn what_is_no_key_of_ed25519_is_told_apart() {
        let of = |der: &[u8]| BASE64_STANDARD.encode(der).parse::<PublicKey>().unwrap_err();
        let spki = |point: [u8; 32]| [&SPKI[..], &point[..]].concat();
        assert_eq!("not base64".parse::<PublicKey>().unwrap_err(), PublicKeyError::Base64);
        assert_eq!(of(&verifying(1).to_bytes()), PublicKeyError::Kind, "without its wrapping");
        assert_eq!(of(&[spki(verifying(1).to_bytes()), vec![0]].concat()), PublicKeyError::Kind);
        // The neutral element: with it, a signature verifies for any message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(of(&spki(neutral)), PublicKeyError::Weak);
        let private =
            [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &[9; 32]].concat();
        assert_eq!(of(&private), PublicKeyError::Private);
    }

    proptest! {
        #[test]
        fn a_key_reads_back_as_it_is_shown(seed: u8) {
            let shown = PublicKey(verifying(seed)).to_string();
            prop_assert_eq!(shown.len(), 60);
            prop_assert_eq!(shown.parse(), Ok(PublicKey(verifying(seed))));
        }

        #[test]
        fn reading_a_key_is_total(text in "\\PC{0,90}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = text.parse::<PublicKey>();
            let _ = BASE64_STANDARD.encode(bytes).parse::<PublicKey>();
        }
    }
}
