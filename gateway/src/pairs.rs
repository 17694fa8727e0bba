//! Labels, annotations, images, tags: pairs of a key and a text.

use std::{collections::BTreeMap, fmt, iter::Map, slice, sync::Arc};

use serde::Deserialize;

/// Ordered by key, because the plugin interface promises sorted pairs. Clones share their memory: the pods of a
/// namespace share its annotations, and a cached decision shares the pairs of its pod. Empty pairs allocate nothing.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "BTreeMap<String, String>")]
pub struct Pairs(Arc<[(String, String)]>);

impl Pairs {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn get(&self, key: &str) -> Option<&String> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(key, _)| key)
    }

    /// In the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.into_iter()
    }

    /// These pairs and the others; the others win if both have a key.
    pub fn with<K: Into<String>, V: Into<String>>(&self, others: impl IntoIterator<Item = (K, V)>) -> Self {
        let others = others.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.to_vec().into_iter().chain(others).collect()
    }

    pub fn to_vec(&self) -> Vec<(String, String)> {
        self.0.to_vec()
    }
}

impl<'a> IntoIterator for &'a Pairs {
    type Item = (&'a String, &'a String);
    type IntoIter = Map<slice::Iter<'a, (String, String)>, fn(&'a (String, String)) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

/// If a key occurs twice, the later pair wins.
impl FromIterator<(String, String)> for Pairs {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        BTreeMap::from_iter(pairs).into()
    }
}

impl From<BTreeMap<String, String>> for Pairs {
    fn from(pairs: BTreeMap<String, String>) -> Self {
        if pairs.is_empty() { Self::default() } else { Self(pairs.into_iter().collect()) }
    }
}

impl<const N: usize> From<[(String, String); N]> for Pairs {
    fn from(pairs: [(String, String); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    };

    use proptest::prelude::*;

    use super::*;

    fn some() -> impl Strategy<Value = Vec<(String, String)>> {
        proptest::collection::vec(("[abc]{0,2}", "[xy]"), 0..8)
    }

    fn hash(pairs: &Pairs) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(pairs)
    }

    proptest! {
        /// The slow obvious model: the texts as they were written.
        #[test]
        fn the_last_of_a_key_counts_and_keys_come_in_order(written in some(), asked in "[abc]{0,2}") {
            let pairs = Pairs::from_iter(written.clone());
            let last = written.iter().rfind(|(key, _)| *key == asked).map(|(_, value)| value);
            prop_assert_eq!(pairs.get(&asked), last);
            prop_assert_eq!(pairs.contains_key(&asked), last.is_some());
            prop_assert!(pairs.keys().is_sorted() && pairs.iter().all(|(key, value)| pairs.get(key) == Some(value)));
            let different: BTreeSet<_> = written.iter().map(|(key, _)| key).collect();
            prop_assert_eq!((pairs.len(), pairs.is_empty()), (different.len(), different.is_empty()));
        }

        #[test]
        fn others_are_added_as_if_written_behind_and_equal_pairs_are_one_key(first in some(), then in some()) {
            let (added, whole) = (Pairs::from_iter(first.clone()).with(then.clone()), Pairs::from_iter([first, then].concat()));
            prop_assert_eq!(hash(&added), hash(&whole));
            prop_assert_eq!(added, whole);
        }
    }
}
