//! URLs that the gateway itself sends requests to.

use std::net::{IpAddr, SocketAddr};

use http::Uri;

use super::{Checker, Key, quote};
use crate::config::ImdsEndpoint;

impl Checker<'_, '_> {
    pub(super) fn imds_endpoint(&mut self, key: &Key, written: &str) -> Option<ImdsEndpoint> {
        if written == "sandbox" {
            return Some(ImdsEndpoint::Sandbox);
        }
        let help = r#"write it as "http://169.254.169.254", "http://[fd00:ec2::254]" or "sandbox""#;
        let problem = match endpoint_base(written) {
            Ok(base) => return Some(ImdsEndpoint::Http(base)),
            Err(problem) => problem,
        };
        self.collector.refuse(
            key,
            format!("expected http://HOST[:PORT] or \"sandbox\", found {}: {problem}", quote(written)),
            help,
        );
        None
    }

    /// A gateway whose upstream is its own listener would send requests to itself until its connections are used up.
    pub(super) fn refuse_loop(&mut self, listen: SocketAddr, endpoint: &str) {
        let Ok(uri) = endpoint.parse::<Uri>() else { return };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let listens_on_loopback = listen.ip().is_loopback() || listen.ip().is_unspecified();
        let is_here = match host.parse::<IpAddr>() {
            Ok(ip) if listen.ip().is_unspecified() => ip.is_loopback() || ip.is_unspecified(),
            Ok(ip) => ip == listen.ip(),
            Err(_) => host.eq_ignore_ascii_case("localhost") && listens_on_loopback,
        };
        if is_here && uri.port_u16().unwrap_or(80) == listen.port() {
            self.collector.refuse_pair(
                [&Key::dotted("imds.endpoint"), &Key::dotted("pods.listen")],
                format!("imds.endpoint ({endpoint}) is the gateway's own pods.listen ({listen})"),
                "the gateway would send requests to itself: write the node's metadata service, http://169.254.169.254",
            );
        }
    }

    /// The inner None: nothing is written.
    pub(super) fn optional_url(&mut self, key: &Key, written: &str) -> Option<Option<String>> {
        if written.is_empty() {
            return Some(None);
        }
        let right = written.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
        });
        if right && !written.contains('#') {
            return Some(Some(written.to_owned()));
        }
        let problem = format!("expected an http or https URL without a query, found {}", quote(written));
        self.collector.refuse(key, problem, r#"write it as "https://host.example:8443""#);
        None
    }
}

/// `http://HOST[:PORT]`, without a closing slash. The metadata service speaks plain HTTP only.
fn endpoint_base(written: &str) -> Result<String, &'static str> {
    let uri: Uri = written.parse().map_err(|_| "that is no URL")?;
    let authority = uri.authority().ok_or("it names no host")?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err("the metadata service speaks plain HTTP only"),
        _ => return Err("the scheme is not http"),
    }
    if authority.as_str().contains('@') {
        return Err("it holds a user name");
    }
    if authority.host().is_empty() || authority.as_str().ends_with(':') || authority.port_u16() == Some(0) {
        return Err("the host or the port is missing");
    }
    if authority.port().is_none() && authority.as_str() != authority.host() {
        return Err("the port is not one");
    }
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") || written.contains('#') {
        return Err("it has a path");
    }
    Ok(format!("http://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_scheme_host_and_port_are_taken() {
        for right in ["http://169.254.169.254", "http://[fd00:ec2::254]", "http://localhost:1338"] {
            assert_eq!(endpoint_base(right).as_deref(), Ok(right));
        }
        assert_eq!(endpoint_base("http://127.0.0.1:80/").as_deref(), Ok("http://127.0.0.1:80"));
        for wrong in [
            "",
            "localhost",
            "169.254.169.254:80",
            "https://169.254.169.254",
            "http://",
            "http://h:",
            "http://h:0",
            "http://h:99999",
            "http://u@h",
            "http://h/latest",
            "http://h/?a",
            "http://h/#a",
            "ftp://h",
            "/latest",
        ] {
            assert!(endpoint_base(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn an_endpoint_is_a_base_of_itself(written in "http://[a-z0-9.@:/\\[\\]-]{0,20}") {
            if let Ok(base) = endpoint_base(&written) {
                prop_assert_eq!(endpoint_base(&base), Ok(base.clone()));
                prop_assert!(!base.contains('@'));
            }
        }
    }
}
