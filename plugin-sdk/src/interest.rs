use crate::Interest;

/// Built up list by list. Each entry is an exact key, or a prefix followed by `*`.
impl Interest {
    /// Nothing but the scalars: namespace, pod, UID, service account, node and addresses are always shown.
    #[must_use]
    pub fn none() -> Self {
        Self {
            labels: Vec::new(),
            annotations: Vec::new(),
            namespace_labels: Vec::new(),
            namespace_annotations: Vec::new(),
            service_account_annotations: Vec::new(),
        }
    }

    /// The pod's labels.
    #[must_use]
    pub fn labels<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.labels.extend(keys.into_iter().map(K::into));
        self
    }

    /// The pod's annotations.
    #[must_use]
    pub fn annotations<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.annotations.extend(keys.into_iter().map(K::into));
        self
    }

    /// The labels of the pod's namespace.
    #[must_use]
    pub fn namespace_labels<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.namespace_labels.extend(keys.into_iter().map(K::into));
        self
    }

    /// The annotations of the pod's namespace.
    #[must_use]
    pub fn namespace_annotations<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.namespace_annotations.extend(keys.into_iter().map(K::into));
        self
    }

    /// The annotations of the pod's service account.
    #[must_use]
    pub fn service_account_annotations<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.service_account_annotations.extend(keys.into_iter().map(K::into));
        self
    }
}
