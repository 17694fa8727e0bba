//! One token: sealed expiry and owner, bound to the address that asked.
//!
//! XChaCha20-Poly1305, because its 24-byte nonce may be drawn at random for ever, on every node that shares a key file.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chacha20poly1305::{XChaCha20Poly1305, XNonce, aead::AeadInOut};

use super::{Keyring, Ttl};
use crate::workload::{Uid, Workload};

const VERSION: u8 = 1;
const NONCE: usize = 24;
const SEALED: usize = 8 + 8 + 16;
const TAG: usize = 16;
const TOKEN: usize = NONCE + SEALED + TAG;
/// Base64 without padding: 4 characters for 3 bytes. Below the 128 that every SDK's header buffer is known to take.
const TOKEN_CHARS: usize = TOKEN.div_ceil(3) * 4;

/// Seconds in which a workload may first be seen at an address whose token was minted before anyone was known there:
/// an API server that answers late must not cost a pod its token.
const ADOPTION: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Token(String);

/// Whoever reads a token and sends from its address may use it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// A token that was genuine, unexpired, and minted for the address that shows it.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    minted_at: SystemTime,
    owner: Option<[u8; 16]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not ours, tampered with, or minted for another address.
    #[error("token is not genuine for this address")]
    NotGenuine,
    #[error("token has expired")]
    Expired,
}

impl Token {
    /// `owner` is None where the roster does not know the caller yet; minting never waits.
    pub fn mint(keys: &Keyring, ttl: Ttl, address: IpAddr, owner: Option<&Uid>, now: SystemTime) -> Option<Self> {
        let minted = seconds(now);
        let expires = minted.saturating_add(u64::from(ttl.seconds()));
        let mut bytes = [0u8; TOKEN];
        let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE>()?;
        let (sealed, tag) = rest.split_first_chunk_mut::<SEALED>()?;
        rand::fill(nonce);
        let (minted_at, rest) = sealed.split_first_chunk_mut::<8>()?;
        let (expires_at, owner_at) = rest.split_first_chunk_mut::<8>()?;
        *minted_at = minted.to_be_bytes();
        *expires_at = expires.to_be_bytes();
        owner_at.copy_from_slice(&owner.map_or(UNKNOWN, |uid| *uid.digest()));
        let nonce = XNonce::from(*nonce);
        let made = keys.sealing()?.encrypt_inout_detached(&nonce, &bound_to(address), sealed.as_mut_slice().into());
        tag.copy_from_slice(&made.ok()?);
        Some(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The digest of no UID, for an owner that was not known.
const UNKNOWN: [u8; 16] = [0; 16];

impl Session {
    pub fn open(keys: &Keyring, token: &[u8], address: IpAddr, now: SystemTime) -> Result<Self, SessionError> {
        let sealed = unseal(keys, token, address).ok_or(SessionError::NotGenuine)?;
        if seconds(now) >= sealed.expires {
            return Err(SessionError::Expired);
        }
        let minted_at = UNIX_EPOCH + Duration::from_secs(sealed.minted);
        Ok(Self { minted_at, owner: (sealed.owner != UNKNOWN).then_some(sealed.owner) })
    }

    /// Whether the workload that now has the address is the one that the token was minted for.
    pub fn belongs_to(&self, workload: &Workload) -> bool {
        match self.owner {
            Some(digest) => digest == *workload.uid.digest(),
            None => workload.since.is_some_and(|since| since <= self.minted_at + ADOPTION),
        }
    }
}

/// What a token holds; times in seconds since the Unix epoch.
struct Sealed {
    minted: u64,
    expires: u64,
    owner: [u8; 16],
}

fn unseal(keys: &Keyring, token: &[u8], address: IpAddr) -> Option<Sealed> {
    if token.len() != TOKEN_CHARS {
        return None;
    }
    let mut bytes = [0u8; TOKEN];
    let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
    if decoded != TOKEN {
        return None;
    }
    let (nonce, rest) = bytes.split_first_chunk::<NONCE>()?;
    let (sealed, tag) = rest.split_first_chunk::<SEALED>()?;
    let tag: &[u8; TAG] = tag.first_chunk()?;
    let nonce = XNonce::from(*nonce);
    let aad = bound_to(address);
    let plain = keys.opening().find_map(|key: &XChaCha20Poly1305| {
        let mut plain = *sealed;
        key.decrypt_inout_detached(&nonce, &aad, plain.as_mut_slice().into(), tag.into()).ok()?;
        Some(plain)
    })?;
    let (minted, rest) = plain.split_first_chunk::<8>()?;
    let (expires, owner) = rest.split_first_chunk::<8>()?;
    Some(Sealed {
        minted: u64::from_be_bytes(*minted),
        expires: u64::from_be_bytes(*expires),
        owner: *owner.first_chunk()?,
    })
}

/// What the seal also covers: a token shown from another address does not open.
fn bound_to(address: IpAddr) -> [u8; 17] {
    let mut aad = [VERSION; 17];
    let octets = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    for (to, from) in aad.iter_mut().skip(1).zip(octets) {
        *to = from;
    }
    aad
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn mint(keys: &Keyring, ttl: &str, owner: Option<&Uid>) -> String {
        Token::mint(keys, Ttl::parse(ttl).unwrap(), HERE, owner, at(0)).unwrap().as_str().to_owned()
    }

    fn workload(uid: &str, since: u64) -> Workload {
        Workload { uid: Uid::new(uid), since: Some(at(since)), ..Workload::default() }
    }

    #[test]
    fn a_token_lives_exactly_as_long_as_was_asked() {
        let keys = Keyring::ephemeral();
        let token = mint(&keys, "60", None);
        assert!(token.len() < 128);
        assert!(Session::open(&keys, token.as_bytes(), HERE, at(59)).is_ok());
        assert_eq!(Session::open(&keys, token.as_bytes(), HERE, at(60)).unwrap_err(), SessionError::Expired);
    }

    #[test]
    fn a_token_belongs_to_one_uid() {
        let keys = Keyring::ephemeral();
        let token = mint(&keys, "60", Some(&Uid::new("a")));
        let session = Session::open(&keys, token.as_bytes(), HERE, at(1)).unwrap();
        assert!(session.belongs_to(&workload("a", 0)));
        assert!(!session.belongs_to(&workload("b", 0)));
    }

    #[test]
    fn a_token_minted_before_its_pod_was_known_belongs_to_the_first_pod_seen_there() {
        let keys = Keyring::ephemeral();
        let token = mint(&keys, "600", None);
        let session = Session::open(&keys, token.as_bytes(), HERE, at(400)).unwrap();
        assert!(session.belongs_to(&workload("first", 5)));
        assert!(!session.belongs_to(&workload("its-successor", 300)));
    }

    #[test]
    fn a_token_of_the_older_key_still_opens_and_a_foreign_one_does_not() {
        let (old, new) = (Keyring::ephemeral(), Keyring::ephemeral());
        let token = mint(&old, "60", None);
        assert!(Session::open(&new, token.as_bytes(), HERE, at(0)).is_err());
        let both = Keyring::joined_for_test(new, old);
        assert!(Session::open(&both, token.as_bytes(), HERE, at(0)).is_ok());
    }

    proptest! {
        #[test]
        fn any_tampering_is_refused(position in 0..TOKEN_CHARS, replacement in any::<u8>()) {
            let keys = Keyring::ephemeral();
            let mut token = mint(&keys, "60", Some(&Uid::new("a"))).into_bytes();
            prop_assume!(token[position] != replacement);
            token[position] = replacement;
            prop_assert_eq!(Session::open(&keys, &token, HERE, at(0)).unwrap_err(), SessionError::NotGenuine);
        }

        #[test]
        fn no_other_address_can_use_it(octets in any::<[u8; 4]>()) {
            let keys = Keyring::ephemeral();
            let token = mint(&keys, "60", None);
            let there = IpAddr::from(octets);
            prop_assume!(there != HERE);
            prop_assert!(Session::open(&keys, token.as_bytes(), there, at(0)).is_err());
        }

        #[test]
        fn opening_is_total(token in any::<Vec<u8>>()) {
            prop_assert!(Session::open(&Keyring::ephemeral(), &token, HERE, at(0)).is_err());
        }

        #[test]
        fn truncated_or_extended_tokens_are_refused(cut in 0..TOKEN_CHARS, extra in "[A-Za-z0-9_-]{1,8}") {
            let keys = Keyring::ephemeral();
            let token = mint(&keys, "60", None);
            prop_assert!(Session::open(&keys, &token.as_bytes()[..cut], HERE, at(0)).is_err());
            prop_assert!(Session::open(&keys, (token + &extra).as_bytes(), HERE, at(0)).is_err());
        }
    }
}
