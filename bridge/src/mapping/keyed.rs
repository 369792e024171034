//! A queue by key: items of one key are taken in order, and while some of them are running, the later ones wait. Pure.

use std::collections::{HashMap, VecDeque};

/// The lines. An item without a key waits for nobody.
#[derive(Debug)]
pub(super) struct Keyed<T> {
    lines: HashMap<u64, KeyQueue<T>>,
    /// Items that may be taken, in the order in which they became available.
    ready: VecDeque<Ready<T>>,
    /// How many items could be taken now.
    takeable: usize,
    waiting: usize,
}

#[derive(Debug)]
struct KeyQueue<T> {
    items: VecDeque<T>,
    /// Items of this key are out.
    busy: bool,
}

#[derive(Debug)]
enum Ready<T> {
    Key(u64),
    Item(T),
}

/// Items taken together: of each key a run of its line.
pub(super) type Taken<T> = Vec<(Option<u64>, Vec<T>)>;

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), ready: VecDeque::new(), takeable: 0, waiting: 0 }
    }
}

impl<T> Keyed<T> {
    /// Puts an item at the end of its key's line.
    pub(super) fn push(&mut self, key: Option<u64>, item: T) {
        self.waiting += 1;
        let Some(key) = key else {
            self.takeable += 1;
            self.ready.push_back(Ready::Item(item));
            return;
        };
        let line = self.lines.entry(key).or_insert_with(|| KeyQueue { items: VecDeque::new(), busy: false });
        if !line.busy {
            self.takeable += 1;
            if line.items.is_empty() {
                self.ready.push_back(Ready::Key(key));
            }
        }
        line.items.push_back(item);
    }

    /// How many items could be taken now.
    pub(super) fn takeable(&self) -> usize {
        self.takeable
    }

    /// Whether no item waits, takeable or not.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes up to `most` items. Their keys are busy until [`Keyed::free`].
    pub(super) fn take(&mut self, most: usize) -> Taken<T> {
        let (mut taken, mut room) = (Taken::new(), most);
        while room > 0 {
            match self.ready.pop_front() {
                None => break,
                Some(Ready::Item(item)) => {
                    room -= 1;
                    self.takeable -= 1;
                    taken.push((None, vec![item]));
                }
                Some(Ready::Key(key)) => {
                    let Some(line) = self.lines.get_mut(&key) else { continue };
                    self.takeable -= line.items.len();
                    line.busy = true;
                    let run: Vec<_> = line.items.drain(..room.min(line.items.len())).collect();
                    room -= run.len();
                    taken.push((Some(key), run));
                }
            }
        }
        self.waiting -= most - room;
        taken
    }

    /// Gives back what was taken and does not go after all, in the order in which it was taken, and before all else
    /// that waits. Of the key `out` some items do go: it stays busy, and no other.
    pub(super) fn put_back(&mut self, left: Taken<T>, out: Option<u64>) {
        for (key, items) in left.into_iter().rev() {
            self.waiting += items.len();
            let Some(key) = key else {
                self.takeable += items.len();
                items.into_iter().rev().for_each(|item| self.ready.push_front(Ready::Item(item)));
                continue;
            };
            let line = self.lines.entry(key).or_insert_with(|| KeyQueue { items: VecDeque::new(), busy: true });
            items.into_iter().rev().for_each(|item| line.items.push_front(item));
            if out != Some(key) {
                line.busy = false;
                self.takeable += line.items.len();
                self.ready.push_front(Ready::Key(key));
            }
        }
    }

    /// All items of the key that were out have their outcome: the line moves on.
    pub(super) fn free(&mut self, key: u64) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        if line.items.is_empty() {
            self.lines.remove(&key);
            return;
        }
        line.busy = false;
        self.takeable += line.items.len();
        self.ready.push_back(Ready::Key(key));
    }

    /// An item of the key was abandoned and will come again later, so those behind it must not go before it: the line
    /// is given back.
    pub(super) fn disband(&mut self, key: u64) -> Vec<T> {
        let items: Vec<_> = self.lines.remove(&key).map(|line| line.items.into()).unwrap_or_default();
        self.waiting -= items.len();
        items
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn flat(taken: Taken<u32>) -> Vec<u32> {
        taken.into_iter().flat_map(|(_, items)| items).collect()
    }

    #[test]
    fn a_key_that_is_out_holds_its_line_and_no_other() {
        let mut keyed = Keyed::default();
        for (key, item) in [(1, 10), (1, 11), (2, 20), (1, 12)] {
            keyed.push(Some(key), item);
        }
        assert_eq!(keyed.take(1), [(Some(1), vec![10])]);
        assert_eq!(flat(keyed.take(9)), [20]);
        assert_eq!((keyed.takeable(), keyed.is_empty()), (0, false));
        keyed.free(1);
        assert_eq!(keyed.take(9), [(Some(1), vec![11, 12])]);
        assert!(keyed.is_empty());
    }

    #[test]
    fn items_without_a_key_wait_for_nobody() {
        let mut keyed = Keyed::default();
        (1..=3).for_each(|item| keyed.push(None, item));
        assert_eq!((flat(keyed.take(2)), flat(keyed.take(2))), (vec![1, 2], vec![3]));
    }

    #[test]
    fn what_is_put_back_goes_first_when_its_key_is_free() {
        let mut keyed = Keyed::default();
        (1..=3).for_each(|item| keyed.push(Some(7), item));
        keyed.take(3);
        keyed.put_back(vec![(Some(7), vec![2, 3])], Some(7));
        keyed.push(Some(7), 4);
        assert_eq!((keyed.takeable(), flat(keyed.take(9))), (0, vec![]));
        keyed.free(7);
        assert_eq!(flat(keyed.take(9)), [2, 3, 4]);
    }

    #[test]
    fn what_is_put_back_keeps_its_order_whether_it_has_a_key_or_not() {
        let mut keyed = Keyed::default();
        for (key, item) in [(None, 1), (Some(7), 2), (None, 3), (Some(8), 4), (None, 5), (None, 6)] {
            keyed.push(key, item);
        }
        let mut taken = keyed.take(5);
        let left = taken.split_off(1);
        keyed.put_back(left, None);
        assert_eq!((keyed.takeable(), flat(keyed.take(9))), (5, vec![2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_disbanded_line_is_given_back() {
        let mut keyed = Keyed::default();
        (1..=3).for_each(|item| keyed.push(Some(7), item));
        keyed.take(1);
        assert_eq!(keyed.disband(7), [2, 3]);
        assert!(keyed.is_empty());
        keyed.push(Some(7), 4);
        assert_eq!(flat(keyed.take(9)), [4]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Option<u64>),
        /// So many, of which so many go.
        Take(usize, usize),
        Free(usize),
    }

    /// Takes up to `most`, of which `going` go; what is out and what is seen is noted.
    fn take(
        keyed: &mut Keyed<u32>,
        (most, going): (usize, usize),
        out: &mut Vec<u64>,
        seen: &mut HashMap<Option<u64>, Vec<u32>>,
    ) {
        let (mut left, mut last, mut room) = (Taken::new(), None, going);
        for (key, mut items) in keyed.take(most) {
            assert!(key.is_none_or(|key| !out.contains(&key)), "key {key:?} is out twice");
            let rest = items.split_off(room.min(items.len()));
            room -= items.len();
            if !rest.is_empty() {
                left.push((key, rest));
            }
            if !items.is_empty() {
                last = key;
                out.extend(key);
                seen.entry(key).or_default().extend(items);
            }
        }
        keyed.put_back(left, last);
    }

    proptest! {
        #[test]
        fn every_key_keeps_its_order_and_nothing_is_stuck(steps in prop::collection::vec(prop_oneof![
            3 => prop::option::weighted(0.8, 0_u64..5).prop_map(Step::Push),
            1 => (1_usize..6, 1_usize..6).prop_map(|(most, going)| Step::Take(most, going)),
            1 => any::<usize>().prop_map(Step::Free),
        ], 1..300)) {
            let (mut keyed, mut out, mut seen) = (Keyed::default(), Vec::new(), HashMap::new());
            let mut pushed = 0;
            for step in steps {
                match step {
                    Step::Push(key) => {
                        pushed += 1;
                        keyed.push(key, pushed);
                    }
                    Step::Take(most, going) => take(&mut keyed, (most, going), &mut out, &mut seen),
                    Step::Free(n) => if !out.is_empty() {
                        keyed.free(out.swap_remove(n % out.len()));
                    }
                }
            }
            while !keyed.is_empty() || !out.is_empty() {
                out.drain(..).for_each(|key| keyed.free(key));
                prop_assert!(keyed.is_empty() || keyed.takeable() > 0, "stuck");
                take(&mut keyed, (3, 3), &mut out, &mut seen);
            }
            prop_assert_eq!(seen.values().map(Vec::len).sum::<usize>(), pushed as usize);
            prop_assert!(seen.values().all(|items| items.is_sorted()), "{:?}", seen);
        }
    }
}
