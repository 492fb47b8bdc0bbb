//! Which fault comes when: the same for the same seed.

use std::time::Duration;

use crate::chaos::fault::Fault;

/// Calm at the beginning, so that the report shows what is usual.
const CALM: Duration = Duration::from_secs(5);
/// Shortest and longest pause between two faults, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 500..6000;

/// Numbers that look random and are the same for the same seed (splitmix64, by Sebastiano Vigna).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number of `range`, which is not empty.
    pub fn throw(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        range.start + mixed % (range.end - range.start).max(1)
    }
}

/// Faults without end, each with the pause before it.
///
/// They are dealt like cards: each comes once before any comes again.
pub struct Schedule {
    dice: Dice,
    all: Vec<Fault>,
    deck: Vec<Fault>,
    first: bool,
}

impl Schedule {
    /// The schedule of `seed` out of `faults`.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn new(seed: u64, faults: Vec<Fault>) -> Self {
        assert!(!faults.is_empty(), "there are faults to choose from");
        Self {
            dice: Dice::new(seed),
            all: faults,
            deck: Vec::new(),
            first: true,
        }
    }
}

impl Iterator for Schedule {
    type Item = (Duration, Fault);

    fn next(&mut self) -> Option<Self::Item> {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.all);
        }
        let card = self.dice.throw(0..self.deck.len() as u64);
        let fault = self.deck.swap_remove(usize::try_from(card).ok()?);
        let pause = Duration::from_millis(self.dice.throw(PAUSE_MS));
        let pause = if std::mem::take(&mut self.first) {
            CALM
        } else {
            pause
        };
        Some((pause, fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, count: usize) -> Vec<(Duration, Fault)> {
        Schedule::new(seed, Fault::all()).take(count).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_schedule() {
        assert_eq!(first(7, 100), first(7, 100));
        assert_ne!(first(7, 100), first(8, 100));
    }

    #[test]
    fn each_fault_comes_before_any_comes_again() {
        let all = Fault::all();
        let dealt: Vec<_> = first(1, all.len())
            .into_iter()
            .map(|(_, fault)| fault)
            .collect();
        assert!(all.iter().all(|fault| dealt.contains(fault)));
    }
}
