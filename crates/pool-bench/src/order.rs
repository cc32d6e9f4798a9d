//! Who goes when.

/// The order of each round.
///
/// Whoever comes after a certain other finds the caches, the clock rate and the scheduler as that
/// one left them. So each order is rotated until each contender has had each place once, and then
/// shuffled, so that the neighbours change too. The same in each run of a program: two runs differ
/// by the machine alone.
#[derive(Debug)]
pub(crate) struct Orders {
    order: Vec<usize>,
    turn: usize,
    random: SplitMix64,
}

impl Orders {
    pub(crate) fn new(contenders: usize) -> Self {
        Self {
            order: (0..contenders).collect(),
            turn: 0,
            random: SplitMix64(0x9E37_79B9_7F4A_7C15),
        }
    }
}

impl Iterator for Orders {
    type Item = Vec<usize>;

    /// Endless.
    fn next(&mut self) -> Option<Vec<usize>> {
        if self.turn == 0 {
            // Fisher and Yates.
            for end in (1..self.order.len()).rev() {
                self.order.swap(end, self.random.below(end + 1));
            }
        } else {
            self.order.rotate_left(1);
        }
        self.turn = (self.turn + 1) % self.order.len().max(1);
        Some(self.order.clone())
    }
}

/// Steele, Lea and Flood, [Fast splittable pseudorandom number
/// generators](https://doi.org/10.1145/2714064.2660195).
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// Even enough for an order: the bias of the remainder is below one in 2^58.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Orders;

    #[test]
    fn each_contender_has_each_place_once_in_as_many_rounds_as_there_are_contenders() {
        let orders: Vec<_> = Orders::new(5).take(50).collect();
        for block in orders.chunks(5) {
            for place in 0..5 {
                let mut seen: Vec<_> = block.iter().map(|order| order[place]).collect();
                seen.sort_unstable();
                assert_eq!(seen, [0, 1, 2, 3, 4], "place {place} in {block:?}");
            }
        }
    }

    #[test]
    fn neighbours_change() {
        let before_two: std::collections::BTreeSet<_> = Orders::new(5)
            .take(500)
            .filter_map(|order| {
                let place = order.iter().position(|&contender| contender == 2)?;
                place.checked_sub(1).map(|before| order[before])
            })
            .collect();
        assert_eq!(before_two.into_iter().collect::<Vec<_>>(), [0, 1, 3, 4]);
    }

    #[test]
    fn two_runs_have_the_same_orders() {
        let run = || Orders::new(4).take(12).collect::<Vec<_>>();
        assert_eq!(run(), run());
    }

    #[test]
    fn no_contender_and_one_contender_have_an_order_too() {
        assert_eq!(Orders::new(0).take(2).collect::<Vec<_>>(), [[0; 0], [0; 0]]);
        assert_eq!(Orders::new(1).take(2).collect::<Vec<_>>(), [[0], [0]]);
    }
}
