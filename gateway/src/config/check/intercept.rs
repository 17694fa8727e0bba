//! The node's redirect.

use std::net::IpAddr;

use super::{Checker, Key, quote, raw};
use crate::config::{Intercept, Interfaces, NodeAddresses};

impl Checker<'_, '_> {
    pub(super) fn intercept(&mut self, raw: &raw::Intercept) -> Option<Intercept> {
        let at = |name| Key::dotted("intercept").name(name);
        let interfaces = self.interfaces(&at("interfaces"), &raw.interfaces);
        let node_ips = self.node_ips(&at("node_ips"), &raw.node_ips);
        Some(Intercept { interfaces: interfaces?, node_ips: node_ips?, status_file: raw.status_file.clone().into() })
    }

    fn interfaces(&mut self, key: &Key, written: &[String]) -> Option<Interfaces> {
        let help = r#"write a name ("eth0"), a prefix with "+" after it ("eni+"), or either with "!" before it to exclude it ("!lo")"#;
        let entries = written.iter().enumerate();
        let patterns: Vec<_> =
            entries.filter_map(|(index, pattern)| self.parse(&key.index(index), pattern, help)).collect();
        if patterns.len() < written.len() {
            return None;
        }
        let all = Interfaces::of(patterns);
        let help = r#""!lo" alone matches every interface except the loopback"#;
        all.map_err(|error| self.collector.refuse(key, error.to_string(), help)).ok()
    }

    fn node_ips(&mut self, key: &Key, written: &[String]) -> Option<NodeAddresses> {
        let help = "write addresses of this node's own interfaces, at most one IPv4 and one IPv6 address";
        let (mut all, mut faultless) = (NodeAddresses::default(), true);
        for (index, address) in written.iter().enumerate() {
            let added = match address.parse::<IpAddr>() {
                Ok(address) => all.and(address).map_err(|error| error.to_string()),
                Err(_) => Err(format!("expected an IP address, found {}", quote(address))),
            };
            match added {
                Ok(with) => all = with,
                Err(problem) => {
                    faultless = false;
                    self.collector.refuse(&key.index(index), problem, help);
                }
            }
        }
        faultless.then_some(all)
    }
}
