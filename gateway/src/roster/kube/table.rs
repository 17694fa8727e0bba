//! One kind of object, as a watch reports it.

use std::collections::HashMap;

/// The name of a namespaced object, or of a namespace, whose own `namespace` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub namespace: String,
    pub name: String,
}

/// A watch's event, with None for an object that is not used here.
#[derive(Clone, Debug)]
pub(super) enum Change<V> {
    /// A list begins. The current objects stay until the list is complete.
    Begin,
    Listed(Name, Option<V>),
    /// The list is complete: an object that it does not name is gone.
    Whole,
    Set(Name, Option<V>),
    Gone(Name),
}

#[derive(Debug)]
pub(super) struct Table<V> {
    current: HashMap<Name, V>,
    /// The list that is being read.
    next: HashMap<Name, V>,
    synced: bool,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { current: HashMap::new(), next: HashMap::new(), synced: false }
    }
}

impl<V> Table<V> {
    /// Returns whether the current objects may have changed.
    pub(super) fn apply(&mut self, change: Change<V>) -> bool {
        match change {
            Change::Begin => {
                self.next = HashMap::new();
                false
            }
            Change::Listed(name, value) => {
                put(&mut self.next, name, value);
                false
            }
            Change::Whole => {
                self.current = std::mem::take(&mut self.next);
                self.synced = true;
                true
            }
            Change::Set(name, value) => {
                put(&mut self.current, name, value);
                true
            }
            Change::Gone(name) => self.current.remove(&name).is_some(),
        }
    }

    /// Whether a complete list was read.
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    pub(super) fn get(&self, name: &Name) -> Option<&V> {
        self.current.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &V)> {
        self.current.iter()
    }
}

fn put<V>(map: &mut HashMap<Name, V>, name: Name, value: Option<V>) {
    match value {
        Some(value) => map.insert(name, value),
        None => map.remove(&name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        Name { namespace: "n".into(), name: name.into() }
    }

    #[test]
    fn a_list_replaces_the_current_objects_only_once_it_is_complete() {
        let mut table = Table::default();
        table.apply(Change::Begin);
        table.apply(Change::Listed(name("a"), Some(1)));
        assert!(!table.is_synced());
        assert!(table.apply(Change::Whole));
        table.apply(Change::Begin);
        table.apply(Change::Listed(name("b"), Some(2)));
        assert_eq!((table.get(&name("a")), table.get(&name("b"))), (Some(&1), None));
        table.apply(Change::Whole);
        assert_eq!((table.get(&name("a")), table.get(&name("b"))), (None, Some(&2)));
    }

    #[test]
    fn a_list_that_broke_off_leaves_nothing_behind() {
        let mut table = Table::default();
        table.apply(Change::Begin);
        table.apply(Change::Listed(name("gone-meanwhile"), Some(1)));
        table.apply(Change::Begin);
        table.apply(Change::Whole);
        assert_eq!(table.iter().count(), 0);
    }

    #[test]
    fn an_object_that_became_useless_is_gone() {
        let mut table = Table::default();
        table.apply(Change::Set(name("a"), Some(1)));
        table.apply(Change::Set(name("a"), None));
        assert_eq!(table.get(&name("a")), None);
    }
}
