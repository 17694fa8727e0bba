use crate::Interest;
use crate::workload::{IMAGE, NOW};

/// Built up list by list. Each entry is an exact key, or a prefix followed by `*`.
///
/// ```
/// use metagate_plugin_sdk::Interest;
///
/// let interest = Interest::none().labels(["app", "team"]).namespace_annotations(["example.com/*"]);
/// assert_eq!(interest.labels, ["app", "team"]);
/// ```
impl Interest {
    /// Only the scalars, which are always shown: namespace, pod, UID, service account, node and addresses.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert!(Interest::none().labels.is_empty() && Interest::none().attributes.is_empty());
    /// ```
    #[must_use]
    pub fn none() -> Self {
        Self {
            labels: Vec::new(),
            annotations: Vec::new(),
            namespace_labels: Vec::new(),
            namespace_annotations: Vec::new(),
            service_account_annotations: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// The pod's labels.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert_eq!(Interest::none().labels(["app"]).labels, ["app"]);
    /// ```
    #[must_use]
    pub fn labels<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.labels.extend(keys.into_iter().map(K::into));
        self
    }

    /// The pod's annotations.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert_eq!(Interest::none().annotations(["example.com/*"]).annotations, ["example.com/*"]);
    /// ```
    #[must_use]
    pub fn annotations<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.annotations.extend(keys.into_iter().map(K::into));
        self
    }

    /// The labels of the pod's namespace.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert_eq!(Interest::none().namespace_labels(["team"]).namespace_labels, ["team"]);
    /// ```
    #[must_use]
    pub fn namespace_labels<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.namespace_labels.extend(keys.into_iter().map(K::into));
        self
    }

    /// The annotations of the pod's namespace.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert_eq!(Interest::none().namespace_annotations(["iam.amazonaws.com/permitted"]).namespace_annotations, ["iam.amazonaws.com/permitted"]);
    /// ```
    #[must_use]
    pub fn namespace_annotations<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.namespace_annotations.extend(keys.into_iter().map(K::into));
        self
    }

    /// The annotations of the pod's service account.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert_eq!(Interest::none().service_account_annotations(["eks.amazonaws.com/role-arn"]).service_account_annotations, ["eks.amazonaws.com/role-arn"]);
    /// ```
    #[must_use]
    pub fn service_account_annotations<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.service_account_annotations.extend(keys.into_iter().map(K::into));
        self
    }

    /// Facts from the gateway itself: `now`, and `image/CONTAINER` for each container. [`clock`](Self::clock) and
    /// [`images`](Self::images) name all of them.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// let interest = Interest::none().attributes(["image/app"]);
    /// assert_eq!(interest.attributes, ["image/app"]);
    /// ```
    #[must_use]
    pub fn attributes<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.attributes.extend(keys.into_iter().map(K::into));
        self
    }

    /// The time, for [`Workload::now`](crate::Workload::now). The operator must permit it (`clock = true`), or the
    /// gateway refuses the plugin at load. Decisions of such a plugin expire after a while, by default after a minute.
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert_eq!(Interest::none().clock(), Interest::none().attributes(["now"]));
    /// ```
    #[must_use]
    pub fn clock(self) -> Self {
        self.attributes([NOW])
    }

    /// The images of all containers, for [`Workload::images`](crate::Workload::images).
    ///
    /// ```
    /// use metagate_plugin_sdk::Interest;
    ///
    /// assert_eq!(Interest::none().images(), Interest::none().attributes(["image/*"]));
    /// ```
    #[must_use]
    pub fn images(self) -> Self {
        self.attributes([format!("{IMAGE}*")])
    }
}
