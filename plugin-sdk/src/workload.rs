use crate::Workload;

/// Look-ups answer only for keys that [`Policy::interest`](crate::Policy::interest) named: others are never shown.
impl Workload {
    /// A pod with nothing but its names, for unit tests; the `with_…` methods add what a test needs.
    #[must_use]
    pub fn of(namespace: impl Into<String>, pod: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            pod: pod.into(),
            uid: String::new(),
            service_account: "default".to_owned(),
            node: String::new(),
            ips: Vec::new(),
            labels: Vec::new(),
            annotations: Vec::new(),
            namespace_labels: Vec::new(),
            namespace_annotations: Vec::new(),
            service_account_annotations: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// A label of the pod.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        lookup(&self.labels, key)
    }

    /// An annotation of the pod.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        lookup(&self.annotations, key)
    }

    /// A label of the pod's namespace.
    #[must_use]
    pub fn namespace_label(&self, key: &str) -> Option<&str> {
        lookup(&self.namespace_labels, key)
    }

    /// An annotation of the pod's namespace.
    #[must_use]
    pub fn namespace_annotation(&self, key: &str) -> Option<&str> {
        lookup(&self.namespace_annotations, key)
    }

    /// An annotation of the pod's service account.
    #[must_use]
    pub fn service_account_annotation(&self, key: &str) -> Option<&str> {
        lookup(&self.service_account_annotations, key)
    }

    /// An attribute that the gateway adds: `now` (RFC 3339) where the plugin is granted the clock.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        lookup(&self.attributes, key)
    }

    /// The same pod with this label.
    #[must_use]
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.labels, key.into(), value.into());
        self
    }

    /// The same pod with this annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.annotations, key.into(), value.into());
        self
    }

    /// The same pod in a namespace with this label.
    #[must_use]
    pub fn with_namespace_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.namespace_labels, key.into(), value.into());
        self
    }

    /// The same pod in a namespace with this annotation.
    #[must_use]
    pub fn with_namespace_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.namespace_annotations, key.into(), value.into());
        self
    }

    /// The same pod with this annotation on its service account.
    #[must_use]
    pub fn with_service_account_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.service_account_annotations, key.into(), value.into());
        self
    }

    /// The same pod with this attribute.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.attributes, key.into(), value.into());
        self
    }
}

/// The interface's `pairs`: sorted by key, keys unique.
pub(crate) type Pairs = Vec<(String, String)>;

pub(crate) fn lookup<'a>(pairs: &'a Pairs, key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Keeps the pairs sorted and their keys unique, as the gateway sends them.
pub(crate) fn insert(pairs: &mut Pairs, key: String, value: String) {
    let at = pairs.partition_point(|(name, _)| *name < key);
    match pairs.get_mut(at) {
        Some(pair) if pair.0 == key => pair.1 = value,
        _ => pairs.insert(at, (key, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stay_sorted_and_unique() {
        let workload = Workload::of("default", "web-0")
            .with_label("tier", "trusted")
            .with_label("app", "web")
            .with_label("tier", "public");
        let expected = [("app", "web"), ("tier", "public")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(workload.labels, expected);
    }

    #[test]
    fn a_look_up_finds_the_exact_key_of_its_own_list_only() {
        let workload = Workload::of("default", "web-0").with_annotation("iam.amazonaws.com/role", "web");
        assert_eq!(workload.annotation("iam.amazonaws.com/role"), Some("web"));
        assert_eq!(workload.annotation("iam.amazonaws.com"), None);
        assert_eq!(workload.namespace_annotation("iam.amazonaws.com/role"), None);
    }
}
