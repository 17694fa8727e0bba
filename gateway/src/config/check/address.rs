//! Listeners, names and node names.

use std::net::{IpAddr, SocketAddr};

use super::{Checker, Key, quote};
use crate::config::{AdminListen, Origin, dns, sources::NODE_NAME};

impl Checker<'_, '_> {
    pub(super) fn listener(&mut self, key: &Key, written: &str) -> Option<SocketAddr> {
        let Ok(address) = written.parse::<SocketAddr>() else {
            let help = r#"write it as "0.0.0.0:8181", "127.0.0.1:8181" or "[::]:8181""#;
            self.collector.refuse(key, format!("expected IP:PORT, found {}", quote(written)), help);
            return None;
        };
        // Tests and laptops may use any free port; a node's redirect needs a fixed one.
        if address.port() == 0 && !address.ip().is_loopback() {
            self.collector.refuse(
                key,
                "port 0 means any free port, and the redirect needs a fixed one",
                "write a port number",
            );
            return None;
        }
        Some(address)
    }

    pub(super) fn admin_listener(&mut self, key: &Key, written: &str) -> Option<AdminListen> {
        let Some(path) = written.strip_prefix("unix:") else {
            return self.listener(key, written).map(AdminListen::Tcp);
        };
        // sockaddr_un.sun_path holds 108 bytes with the closing zero (unix(7)).
        if !path.starts_with('/') || path.len() > 107 {
            let problem =
                format!("expected an absolute path of at most 107 bytes after \"unix:\", found {}", quote(path));
            self.collector.refuse(key, problem, r#"write it as "unix:/run/metagate/admin.sock""#);
            return None;
        }
        Some(AdminListen::Unix(path.into()))
    }

    pub(super) fn refuse_shared_listener(&mut self, pods: SocketAddr, admin: &AdminListen) {
        let AdminListen::Tcp(admin) = admin else { return };
        let overlap = pods.ip() == admin.ip() || pods.ip().is_unspecified() || admin.ip().is_unspecified();
        if pods.port() != 0 && pods.port() == admin.port() && overlap {
            self.collector.refuse_pair(
                [&Key::dotted("admin.listen"), &Key::dotted("pods.listen")],
                format!("admin.listen ({admin}) and pods.listen ({pods}) are the same address"),
                "give each its own port: pods must not reach the admin listener",
            );
        }
    }

    pub(super) fn hosts(&mut self, key: &Key, written: &[String]) -> Option<Vec<String>> {
        let mut hosts = Vec::new();
        for (index, host) in written.iter().enumerate() {
            let lower = host.to_ascii_lowercase();
            if lower.parse::<IpAddr>().is_ok() || dns::is_subdomain(&lower) {
                hosts.push(lower);
            } else {
                let problem = format!("expected a host name or an IP address, found {}", quote(host));
                self.collector.refuse(&key.index(index), problem, "remove the scheme, the port and the path");
            }
        }
        (hosts.len() == written.len()).then_some(hosts)
    }

    /// Empty if nothing names the node. Only the Kubernetes roster needs the name, and `check` also runs where there is
    /// no node.
    pub(super) fn node(&mut self, key: &Key, written: &str, node_name: Option<&str>) -> Option<String> {
        let node = if written.is_empty() { node_name.unwrap_or_default() } else { written };
        if node.is_empty() || dns::is_subdomain(node) {
            return Some(node.to_owned());
        }
        let (problem, help) = (
            format!("expected a node's name, found {}", quote(node)),
            "write the node's name in Kubernetes, the pod's spec.nodeName",
        );
        match written {
            "" => {
                let origin = Origin::Environment { variable: NODE_NAME.to_owned() };
                self.collector.refuse_from(origin, key, problem, help);
            }
            _ => self.collector.refuse(key, problem, help),
        }
        None
    }
}
