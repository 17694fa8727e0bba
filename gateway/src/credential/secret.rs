//! Secrets, and the credentials that contain them.

use std::{
    fmt,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use zeroize::Zeroizing;

/// Text that is wiped on drop and never printed. Only [`Secret::expose`] reads it, which is easy to search for.
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What STS issued. Immutable, so the documents that are rendered from it never go stale.
pub struct Credential {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Secret,
    /// When the source answered, by this node's clock.
    pub issued_at: SystemTime,
    /// The expiry that the source stated.
    pub expires_at: SystemTime,
    plain: OnceLock<Bytes>,
    extended: OnceLock<Bytes>,
}

/// The forms of a credential's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `iam/security-credentials/ROLE`.
    Plain,
    /// `iam/security-credentials-extended/ROLE`: with the account.
    Extended,
}

impl Credential {
    pub fn new(
        access_key_id: String,
        secret_access_key: Secret,
        session_token: Secret,
        issued_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        let (plain, extended) = (OnceLock::new(), OnceLock::new());
        Self { access_key_id, secret_access_key, session_token, issued_at, expires_at, plain, extended }
    }

    /// The life that was granted; zero if the credential was issued expired.
    pub fn life(&self) -> Duration {
        self.expires_at.duration_since(self.issued_at).unwrap_or_default()
    }

    /// The remaining life; zero if the credential has expired.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.expires_at.duration_since(now).unwrap_or_default()
    }

    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.expires_at > now
    }

    /// The document of this credential in `form`. The first caller renders it, the others share it, and it is wiped
    /// when the last reader drops it. `make` should allocate its vector at full size: a vector that grows leaves
    /// unwiped copies.
    pub fn rendered(&self, form: Form, make: impl FnOnce(&Self) -> Vec<u8>) -> Bytes {
        let slot = match form {
            Form::Plain => &self.plain,
            Form::Extended => &self.extended,
        };
        slot.get_or_init(|| Bytes::from_owner(Zeroizing::new(make(self)))).clone()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.access_key_id.len().saturating_sub(4);
        let tail = self.access_key_id.get(hidden..).unwrap_or_default();
        f.debug_struct("Credential")
            .field("access_key_id", &format_args!("…{tail}"))
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn credential() -> Credential {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (secret, token) = (Secret::new("wJalrXUtnFEMI".into()), Secret::new("FwoGZXIvYXdzE".into()));
        Credential::new("ASIAIOSFODNN7EXAMPLE".into(), secret, token, start, start + Duration::from_secs(3600))
    }

    #[test]
    fn debug_shows_the_end_of_the_key_id_and_no_secret() {
        let credential = credential();
        credential.rendered(Form::Plain, |c| c.session_token.expose().as_bytes().to_vec());
        let printed = format!("{credential:?} {:?}", credential.secret_access_key);
        assert!(printed.contains("…MPLE") && printed.contains("[redacted]"), "{printed}");
        for secret in ["ASIAIO", "wJalr", "FwoGZ"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn debug_accepts_a_key_id_that_is_short_or_not_ascii() {
        for id in ["", "abc", "ééé"] {
            let odd = Credential { access_key_id: id.into(), ..credential() };
            assert!(format!("{odd:?}").starts_with("Credential"));
        }
    }

    #[test]
    fn each_form_is_rendered_once_and_then_shared() {
        let (credential, times) = (credential(), Cell::new(0));
        let make = |text: &'static str| {
            let times = &times;
            move |_: &Credential| {
                times.set(times.get() + 1);
                text.as_bytes().to_vec()
            }
        };
        let first = credential.rendered(Form::Plain, make("plain"));
        let again = credential.rendered(Form::Plain, make("never"));
        let other = credential.rendered(Form::Extended, make("extended"));
        assert_eq!((first.as_ref(), other.as_ref()), (b"plain".as_slice(), b"extended".as_slice()));
        assert_eq!(first.as_ptr(), again.as_ptr());
        assert_eq!(times.get(), 2);
    }

    #[test]
    fn life_never_goes_below_zero() {
        let issued_expired = Credential { issued_at: credential().expires_at + Duration::from_secs(1), ..credential() };
        assert_eq!(issued_expired.life(), Duration::ZERO);
        assert_eq!(issued_expired.remaining(issued_expired.issued_at), Duration::ZERO);
        assert!(!issued_expired.is_valid(issued_expired.expires_at));
    }
}
