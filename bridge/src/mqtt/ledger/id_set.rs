//! A set of packet identifiers, with one bit each, because it is read for every PUBLISH.

/// 8 KiB, allocated with the first identifier.
#[derive(Debug, Default)]
pub(super) struct IdSet {
    bits: Vec<u64>,
}

impl IdSet {
    pub(super) fn contains(&self, id: u16) -> bool {
        let (word, bit) = split(id);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// False when it was there.
    pub(super) fn insert(&mut self, id: u16) -> bool {
        if self.bits.is_empty() {
            self.bits = vec![0; usize::from(u16::MAX / 64) + 1];
        }
        let (word, bit) = split(id);
        let before = self.bits[word];
        self.bits[word] |= bit;
        before & bit == 0
    }

    pub(super) fn remove(&mut self, id: u16) {
        let (word, bit) = split(id);
        self.bits.iter_mut().skip(word).take(1).for_each(|bits| *bits &= !bit);
    }

    pub(super) fn clear(&mut self) {
        self.bits.fill(0);
    }
}

fn split(id: u16) -> (usize, u64) {
    (usize::from(id / 64), 1 << (id % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(steps in vec((any::<bool>(), prop_oneof![0..4_u16, 64..68_u16, 65_530..=65_535_u16]), 0..60)) {
            let (mut ids, mut model) = (IdSet::default(), BTreeSet::new());
            for (insert, id) in steps {
                if insert {
                    prop_assert_eq!(ids.insert(id), model.insert(id));
                } else {
                    ids.remove(id);
                    model.remove(&id);
                }
                prop_assert!((0..72).chain(65_500..=u16::MAX).all(|id| ids.contains(id) == model.contains(&id)));
            }
            ids.clear();
            prop_assert!((0..=u16::MAX).all(|id| !ids.contains(id)));
        }
    }
}
