//! The parts of a workload that a plugin asked to see.
//!
//! An interest gives three things: least privilege, a bound on the cost of a pod with 250 KiB of annotations, and the
//! exact key that a decision is cached on.

use std::collections::BTreeSet;

use crate::pairs::Pairs;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub labels: Keys,
    pub annotations: Keys,
    pub namespace_labels: Keys,
    pub namespace_annotations: Keys,
    pub service_account_annotations: Keys,
    /// Facts from the gateway itself: `now`, the time, and `image/` followed by a container's name.
    pub attributes: Keys,
}

/// The attribute that holds the time.
pub(crate) const NOW: &str = "now";
/// The prefix of the attributes that hold images; a container's name follows.
const IMAGE: &str = "image/";

/// The attribute that holds the image of this container.
pub(crate) fn image_attribute(container: &str) -> String {
    format!("{IMAGE}{container}")
}

/// Exact keys, and prefixes (written with a `*` after them).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    exact: BTreeSet<String>,
    prefixes: BTreeSet<String>,
}

impl Keys {
    pub fn new(written: impl IntoIterator<Item = String>) -> Self {
        let mut keys = Self::default();
        for key in written {
            match key.strip_suffix('*') {
                Some(prefix) => keys.prefixes.insert(prefix.to_owned()),
                None => keys.exact.insert(key),
            };
        }
        keys
    }

    pub fn show(&self, key: &str) -> bool {
        self.exact.contains(key) || self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// The pairs that are shown. If all are, nothing is copied; this is so whenever the roster kept no other pairs.
    pub fn of(&self, pairs: &Pairs) -> Pairs {
        if pairs.keys().all(|key| self.show(key)) {
            return pairs.clone();
        }
        let named = pairs.iter().filter(|(key, _)| self.show(key));
        named.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// For a person: the keys as written.
    pub fn written(&self) -> impl Iterator<Item = String> + '_ {
        self.exact.iter().cloned().chain(self.prefixes.iter().map(|prefix| format!("{prefix}*")))
    }

    /// Whether these keys show everything that `other` shows.
    fn cover(&self, other: &Self) -> bool {
        let by_prefix = |key: &String| self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()));
        other.exact.iter().all(|key| self.show(key)) && other.prefixes.iter().all(by_prefix)
    }

    fn join(&mut self, other: &Self) {
        self.exact.extend(other.exact.iter().cloned());
        self.prefixes.extend(other.prefixes.iter().cloned());
    }
}

impl Interest {
    /// Everything that at least one of them shows.
    pub fn union<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut union = Self::default();
        for one in all {
            union.labels.join(&one.labels);
            union.annotations.join(&one.annotations);
            union.namespace_labels.join(&one.namespace_labels);
            union.namespace_annotations.join(&one.namespace_annotations);
            union.service_account_annotations.join(&one.service_account_annotations);
            union.attributes.join(&one.attributes);
        }
        union
    }

    /// Whether this interest includes everything in `other`.
    pub fn covers(&self, other: &Self) -> bool {
        self.lists().iter().zip(other.lists()).all(|((_, mine), (_, others))| mine.cover(others))
    }

    /// Each list with its name.
    pub fn lists(&self) -> [(&'static str, &Keys); 6] {
        [
            ("labels", &self.labels),
            ("annotations", &self.annotations),
            ("namespace_labels", &self.namespace_labels),
            ("namespace_annotations", &self.namespace_annotations),
            ("service_account_annotations", &self.service_account_annotations),
            ("attributes", &self.attributes),
        ]
    }

    /// Whether the interest includes the time.
    pub fn asks_for_clock(&self) -> bool {
        self.attributes.show(NOW)
    }

    /// Whether the interest includes the image of this container.
    pub fn asks_for_image(&self, container: &str) -> bool {
        self.attributes.show(&image_attribute(container))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_keys_and_prefixes_are_shown() {
        let keys = Keys::new(["tier".to_owned(), "example.com/*".to_owned()]);
        let pairs: Pairs =
            ["tier", "tiers", "example.com/a", "example.org/a"].map(|key| (key.into(), "x".into())).into();
        let shown = keys.of(&pairs);
        let shown: Vec<&str> = shown.keys().map(String::as_str).collect();
        assert_eq!(shown, ["example.com/a", "tier"]);
    }

    #[test]
    fn an_interest_covers_another_only_where_it_shows_every_key_of_it() {
        let of = |keys: &[&str]| Keys::new(keys.iter().map(|key| (*key).to_owned()));
        for (wide, narrow, covers) in [
            (&["a", "b"][..], &["a"][..], true),
            (&["a"], &["a", "b"], false),
            (&["x/*"], &["x/y", "x/y*", "x/*"], true),
            (&["x/*"], &["x*"], false),
            (&["x/y"], &["x/y*"], false),
            (&[], &[], true),
        ] {
            let [wide_interest, narrow_interest] =
                [wide, narrow].map(|keys| Interest { namespace_labels: of(keys), ..Interest::default() });
            assert_eq!(wide_interest.covers(&narrow_interest), covers, "{wide:?} {narrow:?}");
        }
    }

    #[test]
    fn attributes_are_joined_and_covered_like_all_else() {
        let of = |keys: &[&str]| Interest {
            attributes: Keys::new(keys.iter().map(|key| (*key).to_owned())),
            ..Interest::default()
        };
        let (clock, images) = (of(&["now"]), of(&["image/*"]));
        let both = Interest::union([&clock, &images]);
        assert_eq!(both, of(&["image/*", "now"]));
        assert!(both.covers(&clock) && both.covers(&of(&["image/app"])) && !images.covers(&clock));
        assert!(clock.asks_for_clock() && !clock.asks_for_image("app"));
        assert!(!images.asks_for_clock() && images.asks_for_image("app"));
    }
}
