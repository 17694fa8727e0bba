//! How the API server is used.

use super::{Checker, Key, quote};
use crate::config::{Kubernetes, dns, raw};

impl Checker<'_, '_> {
    pub(super) fn kubernetes(&mut self, raw: &raw::Kubernetes) -> Option<Kubernetes> {
        let at = Key::dotted("kubernetes.startup_taint");
        let startup_taint = match raw.startup_taint.as_str() {
            "" => None,
            key if is_taint_key(key) => Some(key.to_owned()),
            other => {
                let problem = format!("expected a taint's key, found {}", quote(other));
                self.collector.refuse(
                    &at,
                    problem,
                    "write the key alone, without value and effect: \"metagate.io/agent-not-ready\"",
                );
                return None;
            }
        };
        Some(Kubernetes { kubeconfig: self.optional_path(&raw.kubeconfig), events: raw.events, startup_taint })
    }
}

/// Kubernetes, Labels and Selectors, Syntax: an optional DNS subdomain and `/`, then a name of at most 63 characters that
/// begins and ends with a letter or digit.
fn is_taint_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    prefix.is_none_or(dns::is_subdomain)
        && name.len() <= 63
        && name.bytes().all(inner)
        && edge(name.as_bytes().first())
        && edge(name.as_bytes().last())
}
