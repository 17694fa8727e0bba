//! The addresses of this node that redirected connections go to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The metadata service's addresses (EC2 User Guide, "Access instance metadata").
pub const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
pub const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// At most one IPv4 and one IPv6 address. Pods' requests over a family without an address are rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeAddresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("pods' packets cannot be forwarded to {0}")]
    Unreachable(IpAddr),
    #[error("{0} is the metadata service's own address")]
    Metadata(IpAddr),
    #[error("{1} and {0} are of one family, and a connection can be sent to only one of them")]
    Second(IpAddr, IpAddr),
}

impl NodeAddresses {
    pub fn and(mut self, address: IpAddr) -> Result<Self, AddressError> {
        match address.to_canonical() {
            address if address == METADATA_V4 || address == METADATA_V6 => Err(AddressError::Metadata(address)),
            // The kernel drops packets that came from elsewhere and go to its loopback; a link-local address means
            // nothing without its link.
            address if address.is_loopback() || address.is_unspecified() || address.is_multicast() => {
                Err(AddressError::Unreachable(address))
            }
            IpAddr::V4(v4) if v4.is_broadcast() => Err(AddressError::Unreachable(v4.into())),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(AddressError::Unreachable(v6.into())),
            IpAddr::V4(v4) => match self.v4.replace(v4) {
                Some(first) if first != v4 => Err(AddressError::Second(v4.into(), first.into())),
                _ => Ok(self),
            },
            IpAddr::V6(v6) => match self.v6.replace(v6) {
                Some(first) if first != v6 => Err(AddressError::Second(v6.into(), first.into())),
                _ => Ok(self),
            },
        }
    }

    pub fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// Each of the metadata service's addresses, with the node's address of its family.
    pub(crate) fn pairs(&self) -> [(IpAddr, Option<IpAddr>); 2] {
        [(METADATA_V4.into(), self.v4.map(IpAddr::from)), (METADATA_V6.into(), self.v6.map(IpAddr::from))]
    }

    /// The addresses at which a gateway that listens on `listen` cannot be reached.
    pub fn missed_by(&self, listen: SocketAddr) -> Vec<IpAddr> {
        let reached = |address: &IpAddr| match listen.ip() {
            // tokio leaves IPV6_V6ONLY at the kernel's default, which is off.
            IpAddr::V6(ip) if ip.is_unspecified() => true,
            IpAddr::V4(ip) if ip.is_unspecified() => address.is_ipv4(),
            ip => ip.to_canonical() == *address,
        };
        self.pairs().into_iter().filter_map(|(_, node)| node).filter(|address| !reached(address)).collect()
    }
}

impl fmt::Display for NodeAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.pairs().iter().filter_map(|(_, node)| Some((*node)?.to_string())).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(addresses: &[&str]) -> Result<NodeAddresses, AddressError> {
        addresses.iter().try_fold(NodeAddresses::default(), |all, address| all.and(address.parse().unwrap()))
    }

    #[test]
    fn one_address_of_each_family_is_taken() {
        assert_eq!(of(&["fd00::1", "10.0.0.1"]).unwrap().to_string(), "10.0.0.1, fd00::1");
        assert_eq!(of(&["::ffff:10.0.0.1"]), of(&["10.0.0.1", "10.0.0.1"]));
        assert!(matches!(of(&["10.0.0.1", "10.0.0.2"]), Err(AddressError::Second(..))));
    }

    #[test]
    fn an_address_that_the_kernel_would_not_send_packets_on_to_is_refused() {
        for address in ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "fe80::1", "255.255.255.255"] {
            assert!(matches!(of(&[address]), Err(AddressError::Unreachable(_))), "{address}");
        }
        for address in ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"] {
            assert!(matches!(of(&[address]), Err(AddressError::Metadata(_))), "{address}");
        }
    }

    #[test]
    fn a_listener_of_the_other_family_is_told() {
        let node = of(&["10.0.0.1", "fd00::1"]).unwrap();
        for (listen, missed) in [
            ("[::]:1", &[][..]),
            ("0.0.0.0:1", &["fd00::1"]),
            ("10.0.0.1:1", &["fd00::1"]),
            ("127.0.0.1:1", &["10.0.0.1", "fd00::1"]),
        ] {
            let found: Vec<String> = node.missed_by(listen.parse().unwrap()).iter().map(ToString::to_string).collect();
            assert_eq!(found, missed, "{listen}");
        }
    }
}
