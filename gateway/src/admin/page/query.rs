//! The queries of pages. A browser sends every field of a form, filled in or not.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::admin::state::{RefusalState, WorkloadState};

/// RFC 3986's unreserved characters, and the slash, which a query may contain.
const LITERAL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// `?pod=`: part of a pod's namespace and name, or one of its addresses. Empty: all pods.
#[derive(Default)]
pub(in crate::admin) struct Filter {
    pub(super) pod: String,
    /// In lower case, as Kubernetes' names are.
    wanted: String,
}

/// `?pod=NAMESPACE/NAME[&role=ROLE][&path=PATH]`: what to explain. An empty field counts as absent.
#[derive(Default)]
pub(in crate::admin) struct ExplainForm {
    pub(in crate::admin) pod: String,
    pub(in crate::admin) role: Option<String>,
    pub(in crate::admin) path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    pod: String,
    role: String,
    path: String,
}

impl Filter {
    pub(in crate::admin) fn parse(query: &str) -> Self {
        Self::of(Fields::parse(query).pod.trim())
    }

    pub(super) fn of(pod: &str) -> Self {
        Self { pod: pod.to_owned(), wanted: pod.to_lowercase() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    pub(super) fn keeps(&self, workload: &WorkloadState) -> bool {
        self.names(&format!("{}/{}", workload.namespace, workload.pod)) || workload.ips.contains(&self.wanted)
    }

    pub(super) fn keeps_refusal(&self, refusal: &RefusalState) -> bool {
        refusal.pod.as_ref().is_some_and(|pod| self.names(pod)) || self.is_empty() || refusal.peer == self.wanted
    }

    fn names(&self, title: &str) -> bool {
        title.to_lowercase().contains(&self.wanted)
    }
}

impl ExplainForm {
    pub(in crate::admin) fn parse(query: &str) -> Self {
        let Fields { pod, role, path } = Fields::parse(query);
        let filled = |field: String| Some(field.trim().to_owned()).filter(|field| !field.is_empty());
        Self { pod: pod.trim().to_owned(), role: filled(role), path: filled(path) }
    }

    /// Namespace and name. None: `pod` is not NAMESPACE/NAME.
    pub(in crate::admin) fn pod(&self) -> Option<(&str, &str)> {
        self.pod.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
    }
}

impl Fields {
    /// A malformed query counts as empty.
    fn parse(query: &str) -> Self {
        serde_urlencoded::from_str(query).unwrap_or_default()
    }
}

/// The address of the pod's explanation.
pub(super) fn explain_link(pod: &str) -> String {
    format!("/explain?pod={}", utf8_percent_encode(pod, LITERAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_very_pod_it_names() {
        for pod in ["payments/checkout-0", "a/b&role=c#d", "ä/\u{202e}% +\"'<>", "a/b/c?d=e"] {
            let link = explain_link(pod);
            let query = link.strip_prefix("/explain?").unwrap();
            assert!(query.is_ascii() && !query.contains(['"', '\'', '<', '>', '#', ' ', '+']), "{query}");
            assert_eq!(ExplainForm::parse(query).pod, pod);
            assert!(ExplainForm::parse(query).role.is_none());
        }
    }

    #[test]
    fn an_empty_field_was_not_asked_about() {
        let form = ExplainForm::parse("pod=+payments%2Fcheckout-0&role=&path=%20");
        assert_eq!(form.pod(), Some(("payments", "checkout-0")));
        assert_eq!((form.role, form.path), (None, None));
        for odd in ["", "pod=x", "pod=/x", "pod=x/", "pod=a%2Fb&pod=c%2Fd", "%ff=%", "role=r"] {
            assert_eq!(ExplainForm::parse(odd).pod(), None, "{odd}");
        }
    }
}
