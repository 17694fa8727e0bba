//! IMDSv2 session tokens: mint and check. No token is stored, so no table can fill up, and only the key must survive a
//! restart.

mod keyring;
mod token;

pub use keyring::Keyring;
pub use token::{Session, SessionError, Token};

/// A token's life as the client asked for it: 1 to 21,600 seconds (EC2 User Guide, "Use the Instance Metadata
/// Service").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(u16);

impl Ttl {
    pub const MAX_SECONDS: u16 = 21_600;

    /// None if out of bounds or not plain decimal digits.
    pub fn parse(header: &str) -> Option<Self> {
        let digits = header.bytes().all(|b| b.is_ascii_digit());
        let seconds: u16 = header.parse().ok().filter(|_| digits)?;
        (1..=Self::MAX_SECONDS).contains(&seconds).then_some(Self(seconds))
    }

    pub fn seconds(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_seconds_within_bounds_are_a_ttl() {
        assert_eq!(Ttl::parse("1"), Some(Ttl(1)));
        assert_eq!(Ttl::parse("21600"), Some(Ttl(21_600)));
        for wrong in ["", "0", "21601", "-1", "+5", "1.5", "1e3", " 5", "99999999999", "abc"] {
            assert_eq!(Ttl::parse(wrong), None, "{wrong}");
        }
    }
}
