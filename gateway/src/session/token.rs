//! A session token: expiry and owner under a seal, which also covers the address of the caller.
//!
//! The seal is the first half of an HMAC-SHA256, which RFC 2104, section 5, allows. The holder of a token can read the sealed claims and knows them anyway: when the token was
//! minted, for how long, and a digest of the holder's own UID. A seal takes no nonce, so that all nodes which share a
//! key file may mint without limit. The message fits into one block of SHA-256.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::Mac;

use super::{Keyring, Ttl, keyring::Sealer};
use crate::workload::{Uid, Workload};

const VERSION: u8 = 3;
/// Makes two tokens of the same second differ.
const SALT: usize = 4;
/// Seconds since the Unix epoch, until the year 2106.
const MINTED: usize = 4;
/// Seconds, of which a token lives 21,600 at most.
const LIFE: usize = 2;
const OWNER: usize = 16;
const CLAIMS: usize = SALT + MINTED + LIFE + OWNER;
const TAG: usize = 16;
const TOKEN: usize = CLAIMS + TAG;
/// Base64 without padding: 4 characters for 3 bytes. These are the 56 that a token of EC2 has. The AWS Common Runtime, below
/// several SDKs, takes no more than 64.
const TOKEN_CHARS: usize = (TOKEN * 4).div_ceil(3);
const _: () = assert!(TOKEN_CHARS == 56);
/// A block of SHA-256 holds 55 bytes beside its padding (FIPS 180-4, 5.1.1); a longer message would take a second one.
const _: () = assert!(1 + 16 + CLAIMS <= 55);

/// A token may be minted before the roster knows a pod at its address. The token then belongs to a workload that is
/// first seen there within this time: a slow API server must not cost a pod its token.
const ADOPTION: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Token(String);

/// Anyone who reads a token and sends from its address may use it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// A genuine, unexpired token that was minted for the address that sends it.
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
    /// `owner` is None if the roster does not know the caller yet; minting never waits.
    pub fn mint(keys: &Keyring, ttl: Ttl, address: IpAddr, owner: Option<&Uid>, now: SystemTime) -> Option<Self> {
        let mut bytes = [0u8; TOKEN];
        let (claims, tag) = bytes.split_first_chunk_mut::<CLAIMS>()?;
        let (salt, rest) = claims.split_first_chunk_mut::<SALT>()?;
        let (minted_at, rest) = rest.split_first_chunk_mut::<MINTED>()?;
        let (life, owner_at) = rest.split_first_chunk_mut::<LIFE>()?;
        rand::fill(salt);
        *minted_at = u32::try_from(seconds(now)).ok()?.to_be_bytes();
        *life = ttl.seconds().to_be_bytes();
        owner_at.copy_from_slice(&owner.map_or(UNKNOWN, |uid| *uid.digest()));
        let seal = sealed(keys.sealing()?, address, claims).finalize().into_bytes();
        tag.copy_from_slice(seal.first_chunk::<TAG>()?);
        Some(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Stands for an unknown owner; no UID has this digest.
const UNKNOWN: [u8; 16] = [0; 16];

impl Session {
    pub fn open(keys: &Keyring, token: &[u8], address: IpAddr, now: SystemTime) -> Result<Self, SessionError> {
        let Claims { minted, life, owner } = unseal(keys, token, address).ok_or(SessionError::NotGenuine)?;
        if seconds(now) >= u64::from(minted) + u64::from(life) {
            return Err(SessionError::Expired);
        }
        let minted_at = UNIX_EPOCH + Duration::from_secs(minted.into());
        Ok(Self { minted_at, owner: (owner != UNKNOWN).then_some(owner) })
    }

    /// Whether the workload that now has the address is the one that the token was minted for.
    pub fn belongs_to(&self, workload: &Workload) -> bool {
        match self.owner {
            Some(digest) => digest == *workload.uid.digest(),
            None => workload.since.is_some_and(|since| since <= self.minted_at + ADOPTION),
        }
    }
}

/// The claims of a token: `minted` in seconds since the Unix epoch, `life` in seconds from then on.
struct Claims {
    minted: u32,
    life: u16,
    owner: [u8; OWNER],
}

fn unseal(keys: &Keyring, token: &[u8], address: IpAddr) -> Option<Claims> {
    if token.len() != TOKEN_CHARS {
        return None;
    }
    let mut bytes = [0u8; TOKEN];
    let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
    let (claims, tag) = bytes.split_first_chunk::<CLAIMS>().filter(|_| decoded == TOKEN)?;
    // Compares the whole tag with each key's, in constant time.
    keys.opening().find(|key| sealed(key, address, claims).verify_truncated_left(tag).is_ok())?;
    let (_salt, rest) = claims.split_first_chunk::<SALT>()?;
    let (minted, rest) = rest.split_first_chunk::<MINTED>()?;
    let (life, owner) = rest.split_first_chunk::<LIFE>()?;
    Some(Claims { minted: u32::from_be_bytes(*minted), life: u16::from_be_bytes(*life), owner: *owner.first_chunk()? })
}

/// The seal of `claims` for `address`: a token that is sent from another address does not open. The message is one
/// write, as the hash would otherwise put the pieces together.
fn sealed(key: &Sealer, address: IpAddr, claims: &[u8; CLAIMS]) -> Sealer {
    let address = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let mut message = [VERSION; 1 + 16 + CLAIMS];
    if let Some((bound_to, sealed_claims)) = message.get_mut(1..).and_then(|rest| rest.split_first_chunk_mut::<16>()) {
        *bound_to = address;
        sealed_claims.copy_from_slice(claims);
    }
    key.clone().chain_update(message)
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
        // Those of EC2 have 56 characters. The AWS Common Runtime, below several SDKs, takes no more than 64.
        assert_eq!(token.len(), 56);
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
