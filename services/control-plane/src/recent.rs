//! A map that remembers so many entries and no more.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// A map of at most `most` entries; the one that came first goes first.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    most: usize,
    entries: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    /// An empty one.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The value of `key`.
    pub(crate) fn find<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries.get(key)
    }

    /// Remembers `value`, in the place of an older one of the same key.
    pub(crate) fn note(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_some() {
            self.order.retain(|known| *known != key);
        }
        self.order.push_back(key);
        while self.entries.len() > self.most {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_a_repeated_one_is_new() {
        let mut recent = Recent::new(2);
        recent.note("a".to_owned(), 1);
        recent.note("b".to_owned(), 2);
        recent.note("a".to_owned(), 3);
        recent.note("c".to_owned(), 4);
        assert_eq!(
            (recent.find("a"), recent.find("b"), recent.find("c")),
            (Some(&3), None, Some(&4))
        );
        assert_eq!(recent.order.len(), 2);
    }
}
