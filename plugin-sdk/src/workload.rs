use crate::Workload;

/// The attribute that holds the time.
pub(crate) const NOW: &str = "now";
/// The prefix of the attributes that hold images; a container's name follows.
pub(crate) const IMAGE: &str = "image/";

/// Look-ups find only keys that [`Policy::interest`](crate::Policy::interest) names: the gateway shows no others.
///
/// ```
/// use metagate_plugin_sdk::Workload;
///
/// let workload = Workload::of("payments", "checkout-0").with_label("app", "web").with_namespace_label("team", "a");
/// assert_eq!(workload.namespace, "payments");
/// assert_eq!((workload.label("app"), workload.namespace_label("team")), (Some("web"), Some("a")));
/// ```
impl Workload {
    /// A pod with nothing but its names, for unit tests; the `with_…` methods add what a test needs.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0");
    /// assert_eq!((workload.pod.as_str(), workload.service_account.as_str()), ("checkout-0", "default"));
    /// ```
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
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_label("app", "web");
    /// assert_eq!((workload.label("app"), workload.label("tier")), (Some("web"), None));
    /// ```
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        lookup(&self.labels, key)
    }

    /// An annotation of the pod.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_annotation("iam.amazonaws.com/role", "web");
    /// assert_eq!((workload.annotation("iam.amazonaws.com/role"), workload.annotation("example.com/other")), (Some("web"), None));
    /// ```
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        lookup(&self.annotations, key)
    }

    /// A label of the pod's namespace.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_namespace_label("team", "a");
    /// assert_eq!((workload.namespace_label("team"), workload.namespace_label("tier")), (Some("a"), None));
    /// ```
    #[must_use]
    pub fn namespace_label(&self, key: &str) -> Option<&str> {
        lookup(&self.namespace_labels, key)
    }

    /// An annotation of the pod's namespace.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_namespace_annotation("example.com/owner", "a");
    /// assert_eq!((workload.namespace_annotation("example.com/owner"), workload.namespace_annotation("example.com/other")), (Some("a"), None));
    /// ```
    #[must_use]
    pub fn namespace_annotation(&self, key: &str) -> Option<&str> {
        lookup(&self.namespace_annotations, key)
    }

    /// An annotation of the pod's service account.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_service_account_annotation("eks.amazonaws.com/audience", "sts.amazonaws.com");
    /// assert_eq!((workload.service_account_annotation("eks.amazonaws.com/audience"), workload.service_account_annotation("example.com/other")), (Some("sts.amazonaws.com"), None));
    /// ```
    #[must_use]
    pub fn service_account_annotation(&self, key: &str) -> Option<&str> {
        lookup(&self.service_account_annotations, key)
    }

    /// A fact from the gateway itself, by the attribute's name: the time as in [`now`](Self::now), or an image as in
    /// [`images`](Self::images).
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_image("app", "shop:1");
    /// assert_eq!(workload.attribute("image/app"), Some("shop:1"));
    /// ```
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        lookup(&self.attributes, key)
    }

    /// The time of the decision in RFC 3339, in UTC and whole seconds, such as `2026-11-25T09:00:00Z`. None if the
    /// interest lacks [`Interest::clock`](crate::Interest::clock).
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_now("2026-11-25T09:00:00Z");
    /// let hour = workload.now().and_then(|now| now.get(11..13));
    /// assert_eq!(hour, Some("09"));
    /// ```
    #[must_use]
    pub fn now(&self) -> Option<&str> {
        self.attribute(NOW)
    }

    /// Each container with its image from the pod's spec, init and ephemeral containers included, as far as the
    /// interest names them. The spec has a tag as often as a digest, and a tag can point to another image tomorrow.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0")
    ///     .with_image("app", "registry.example.com/checkout:7")
    ///     .with_image("debugger", "busybox");
    /// let foreign = workload.images().find(|(_, image)| !image.starts_with("registry.example.com/"));
    /// assert_eq!(foreign, Some(("debugger", "busybox")));
    /// ```
    pub fn images(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().filter_map(|(key, image)| Some((key.strip_prefix(IMAGE)?, image.as_str())))
    }

    /// The same pod with this label. An earlier value of it is replaced.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_label("app", "a").with_label("app", "b");
    /// assert_eq!(workload.label("app"), Some("b"));
    /// ```
    #[must_use]
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.labels, key.into(), value.into());
        self
    }

    /// The same pod with this annotation. An earlier value of it is replaced.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_annotation("example.com/reason", "a").with_annotation("example.com/reason", "b");
    /// assert_eq!(workload.annotation("example.com/reason"), Some("b"));
    /// ```
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.annotations, key.into(), value.into());
        self
    }

    /// The same pod in a namespace with this label. An earlier value of it is replaced.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_namespace_label("team", "a").with_namespace_label("team", "b");
    /// assert_eq!(workload.namespace_label("team"), Some("b"));
    /// ```
    #[must_use]
    pub fn with_namespace_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.namespace_labels, key.into(), value.into());
        self
    }

    /// The same pod in a namespace with this annotation. An earlier value of it is replaced.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_namespace_annotation("example.com/owner", "a").with_namespace_annotation("example.com/owner", "b");
    /// assert_eq!(workload.namespace_annotation("example.com/owner"), Some("b"));
    /// ```
    #[must_use]
    pub fn with_namespace_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.namespace_annotations, key.into(), value.into());
        self
    }

    /// The same pod with this annotation on its service account. An earlier value of it is replaced.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_service_account_annotation("example.com/owner", "a").with_service_account_annotation("example.com/owner", "b");
    /// assert_eq!(workload.service_account_annotation("example.com/owner"), Some("b"));
    /// ```
    #[must_use]
    pub fn with_service_account_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.service_account_annotations, key.into(), value.into());
        self
    }

    /// The same pod with this attribute. An earlier value of it is replaced.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_attribute("image/app", "a").with_attribute("image/app", "b");
    /// assert_eq!(workload.attribute("image/app"), Some("b"));
    /// ```
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        insert(&mut self.attributes, key.into(), value.into());
        self
    }

    /// The same pod at this time, in the format of [`now`](Self::now).
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_now("2026-11-25T09:00:00Z");
    /// assert_eq!(workload.attribute("now"), Some("2026-11-25T09:00:00Z"));
    /// ```
    #[must_use]
    pub fn with_now(self, rfc3339: impl Into<String>) -> Self {
        self.with_attribute(NOW, rfc3339)
    }

    /// The same pod with a container of this name and image.
    ///
    /// ```
    /// use metagate_plugin_sdk::Workload;
    ///
    /// let workload = Workload::of("payments", "checkout-0").with_image("app", "nginx:1");
    /// assert_eq!(workload.attribute("image/app"), Some("nginx:1"));
    /// ```
    #[must_use]
    pub fn with_image(self, container: impl AsRef<str>, image: impl Into<String>) -> Self {
        self.with_attribute(format!("{IMAGE}{}", container.as_ref()), image)
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
