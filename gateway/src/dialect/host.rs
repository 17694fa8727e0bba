//! Which `Host` a request may carry. A web page whose name was rebound to this address must get nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::uri::Authority;

/// The addresses of the instance metadata service (EC2 User Guide, "Instance metadata access").
const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));

#[derive(Debug, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// `names` are valid in addition to the service's own addresses and the one that the client connected to.
    pub fn new(names: &[String]) -> Self {
        Self(names.to_vec())
    }

    pub fn knows(&self, authority: &Authority, connected_to: SocketAddr) -> bool {
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if self.0.iter().any(|name| name.eq_ignore_ascii_case(bare)) {
            return true;
        }
        match bare.parse::<IpAddr>() {
            Ok(address) => {
                let service = address == IPV4 || address == IPV6;
                // DNS rebinding needs a name, and this is an address. The AWS Common Runtime leaves out every port.
                let own_port = authority.as_str() == host || authority.port_u16() == Some(connected_to.port());
                service || (address == connected_to.ip().to_canonical() && own_port)
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_service_its_listener_and_configured_names_are_known() {
        let hosts = Hosts::new(&["Metadata.Internal".to_owned(), "10.1.2.3".to_owned()]);
        let listener: SocketAddr = "127.0.0.1:8181".parse().unwrap();
        let knows = |host: &str| hosts.knows(&host.parse().unwrap(), listener);
        for known in [
            "169.254.169.254",
            "169.254.169.254:80",
            "[fd00:ec2::254]",
            "127.0.0.1:8181",
            "127.0.0.1",
            "metadata.internal:8181",
            "10.1.2.3",
        ] {
            assert!(knows(known), "{known}");
        }
        for foreign in [
            "evil.example",
            "127.0.0.1:",
            "127.0.0.1:99999",
            "127.0.0.1:8182",
            "127.0.0.2:8181",
            "169.254.169.253",
            "localhost:8181",
        ] {
            assert!(!knows(foreign), "{foreign}");
        }
    }
}
