//! A set of slot numbers that gives its smallest first.
//!
//! The lowest slot is the hottest: what is used stays dense at the front, so that the caches keep
//! it and a shrink finds its victims at the end.

/// One bit per slot number.
#[derive(Debug, Default)]
pub(crate) struct IndexSet {
    words: Vec<u64>,
    /// No word before this one has a bit set.
    first: usize,
}

impl IndexSet {
    pub(crate) fn insert(&mut self, index: u32) {
        let word = index as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (index % 64);
        self.first = self.first.min(word);
    }

    /// Takes this number out; whether it was there.
    pub(crate) fn remove(&mut self, index: u32) -> bool {
        let bit = 1_u64 << (index % 64);
        match self.words.get_mut(index as usize / 64) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                true
            }
            Some(_) | None => false,
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<u32> {
        while let Some(word) = self.words.get_mut(self.first) {
            if *word == 0 {
                self.first += 1;
                continue;
            }
            let bit = word.trailing_zeros();
            *word &= *word - 1;
            return Some(self.first as u32 * 64 + bit);
        }
        // Past the end, so that the next insert brings it back.
        None
    }

    pub(crate) fn pop_last(&mut self) -> Option<u32> {
        let (at, word) = self
            .words
            .iter_mut()
            .enumerate()
            .rev()
            .find(|(_, word)| **word != 0)?;
        let bit = 63 - word.leading_zeros();
        *word &= !(1 << bit);
        Some(at as u32 * 64 + bit)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::IndexSet;

    proptest! {
        #[test]
        fn it_is_a_sorted_set(steps in vec((0..4_u8, 0..300_u32), 0..200)) {
            let (mut set, mut model) = (IndexSet::default(), BTreeSet::new());
            for (kind, index) in steps {
                match kind {
                    0 => prop_assert_eq!(set.pop_first(), model.pop_first()),
                    1 => prop_assert_eq!(set.pop_last(), model.pop_last()),
                    2 => prop_assert_eq!(set.remove(index), model.remove(&index)),
                    _ => {
                        set.insert(index);
                        model.insert(index);
                    }
                }
            }
            while let Some(first) = model.pop_first() {
                prop_assert_eq!(set.pop_first(), Some(first));
            }
            prop_assert_eq!(set.pop_first(), None);
        }
    }
}
