//! The parts of a metadata path that differ from instance to instance.

use std::net::Ipv4Addr;

/// Each has its own strict character set, and a URL path may contain every one of these characters unencoded (RFC 3986,
/// pchar): a path built from admitted values never needs encoding, and no value contains a separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wildcard {
    /// `00:00:5e:00:53:01`, in lower case as IMDS lists it.
    Mac,
    /// A dotted quad without leading zeros.
    PublicIpv4,
    /// `ami`, `root`, `swap`, `ebsN`, `ephemeralN`.
    BlockDevice,
    /// `0`, `1`, …; listed as `0=NAME`.
    PublicKey,
    TagKey,
    /// `egpu-…` or `eia-…`.
    Accelerator,
}

/// The longest tag key (EC2 User Guide, "Tag restrictions").
const TAG_KEY_MAX: usize = 128;

impl Wildcard {
    pub(super) fn admits(self, value: &str) -> bool {
        match self {
            Self::Mac => is_mac(value),
            Self::PublicIpv4 => value.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == value),
            Self::BlockDevice => is_block_device(value),
            Self::PublicKey => is_number(value),
            Self::TagKey => is_tag_key(value),
            Self::Accelerator => is_accelerator(value),
        }
    }

    /// The value in one line of the node's own listing; None if the line cannot be such a value.
    pub(super) fn listed(self, line: &str) -> Option<&str> {
        let value = match self {
            Self::PublicKey => {
                let (number, name) = line.split_once('=')?;
                name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ').then_some(number)?
            }
            _ => line.strip_suffix('/').unwrap_or(line),
        };
        self.admits(value).then_some(value)
    }
}

fn is_mac(value: &str) -> bool {
    let is_octet = |octet: &str| octet.len() == 2 && is_lower_hex(octet);
    value.split(':').count() == 6 && value.split(':').all(is_octet)
}

fn is_block_device(value: &str) -> bool {
    let numbered = value.strip_prefix("ebs").or_else(|| value.strip_prefix("ephemeral"));
    matches!(value, "ami" | "root" | "swap") || numbered.is_some_and(is_number)
}

/// Keys that may be shown in instance metadata hold letters, digits and `+ - = . , _ : @`, and are not `.`, `..` or
/// `_index` (EC2 User Guide, "Work with instance tags in instance metadata").
fn is_tag_key(value: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-=.,_:@".contains(&byte);
    (1..=TAG_KEY_MAX).contains(&value.len()) && value.bytes().all(is_allowed) && !matches!(value, "." | ".." | "_index")
}

fn is_accelerator(value: &str) -> bool {
    let id = value.strip_prefix("egpu-").or_else(|| value.strip_prefix("eia-"));
    id.is_some_and(|id| (1..=32).contains(&id.len()) && is_lower_hex(id))
}

/// Up to three digits: no instance has a thousand disks or keys.
fn is_number(value: &str) -> bool {
    (1..=3).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_lower_hex(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::catalogue) const ALL: [Wildcard; 6] = [
        Wildcard::Mac,
        Wildcard::PublicIpv4,
        Wildcard::BlockDevice,
        Wildcard::PublicKey,
        Wildcard::TagKey,
        Wildcard::Accelerator,
    ];

    #[test]
    fn values_of_real_instances_are_admitted_and_their_neighbours_are_not() {
        for (wildcard, value, admitted) in [
            (Wildcard::Mac, "00:00:5e:00:53:01", true),
            (Wildcard::Mac, "00:00:5E:00:53:01", false),
            (Wildcard::Mac, "00:00:5e:00:53", false),
            (Wildcard::Mac, "00:00:5e:00:53:01:02", false),
            (Wildcard::Mac, "0:000:5e:00:53:01", false),
            (Wildcard::PublicIpv4, "192.0.2.10", true),
            (Wildcard::PublicIpv4, "192.0.2.010", false),
            (Wildcard::PublicIpv4, "192.0.2", false),
            (Wildcard::PublicIpv4, "2001:db8::1", false),
            (Wildcard::BlockDevice, "ebs12", true),
            (Wildcard::BlockDevice, "ephemeral0", true),
            (Wildcard::BlockDevice, "ebs", false),
            (Wildcard::BlockDevice, "sda1", false),
            (Wildcard::PublicKey, "0", true),
            (Wildcard::PublicKey, "0=key", false),
            (Wildcard::TagKey, "kubernetes.io:cluster@a+b=c,_d-e", true),
            (Wildcard::TagKey, "kubernetes.io/cluster", false),
            (Wildcard::TagKey, "..", false),
            (Wildcard::TagKey, "_index", false),
            (Wildcard::TagKey, "a b", false),
            (Wildcard::Accelerator, "eia-bfa21c7904f64a82a21b9f4540169ce1", true),
            (Wildcard::Accelerator, "eia-", false),
        ] {
            assert_eq!(wildcard.admits(value), admitted, "{wildcard:?} {value}");
        }
    }

    #[test]
    fn lines_of_the_nodes_listing_give_their_value() {
        assert_eq!(Wildcard::PublicKey.listed("0=my key"), Some("0"));
        assert_eq!(Wildcard::PublicKey.listed("0"), None);
        assert_eq!(Wildcard::PublicKey.listed("0=a\tb"), None);
        assert_eq!(Wildcard::Mac.listed("00:00:5e:00:53:01/"), Some("00:00:5e:00:53:01"));
        assert_eq!(Wildcard::TagKey.listed("<html>"), None);
    }

    proptest! {
        /// `\PC` leaves out control characters only, so the alphabet of attacks is named beside it.
        #[test]
        fn an_admitted_value_is_one_path_segment_that_needs_no_encoding(
            value in prop_oneof!["[-/.%\\\\;?#:=a-f0-9\r\n\t ]{1,24}", "\\PC{0,24}", "(ebs|eia-|0=|\\.\\./)[0-9a-f/.]{0,8}"]
        ) {
            for wildcard in ALL {
                if wildcard.admits(&value) {
                    prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b)));
                    prop_assert!(!value.is_empty() && value != "." && value != "..");
                }
            }
        }
    }
}
