//! Limits in this process alone, for while Redis is away.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::store::Rate;

/// Names remembered; the oldest settled ones go first.
const MOST: usize = 10_000;

/// One limit a name: the generic cell rate algorithm.
#[derive(Default)]
pub(crate) struct Limits {
    /// When each name would be back at rest.
    rest: HashMap<String, Instant>,
}

impl Limits {
    /// Counts an event of `name`; how long it has to wait.
    pub(crate) fn take(&mut self, name: &str, rate: Rate, now: Instant) -> Duration {
        if rate.each.is_zero() {
            return Duration::ZERO;
        }
        if self.rest.len() >= MOST {
            self.rest.retain(|_, rest| *rest > now);
        }
        if self.rest.len() >= MOST && !self.rest.contains_key(name) {
            // More people than can be remembered write at once: all of them are slowed.
            return rate.each;
        }
        let rest = self.rest.entry(name.to_owned()).or_insert(now);
        *rest = (*rest).max(now) + rate.each;
        (*rest - now).saturating_sub(rate.each * rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        each: Duration::from_secs(1),
        burst: 2,
    };

    #[test]
    fn a_burst_passes_and_the_rest_waits_its_turn() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let waits: Vec<u64> = (0..4)
            .map(|_| limits.take("ann", RATE, now).as_secs())
            .collect();
        assert_eq!(waits, [0, 0, 1, 2]);
        assert_eq!(limits.take("bob", RATE, now), Duration::ZERO);
        assert_eq!(
            limits.take("ann", RATE, now + Duration::from_secs(9)),
            Duration::ZERO
        );
    }

    #[test]
    fn no_limit_is_no_limit_and_memory_is_bounded() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let none = Rate {
            each: Duration::ZERO,
            burst: 0,
        };
        assert_eq!(limits.take("ann", none, now), Duration::ZERO);
        for n in 0..MOST + 10 {
            limits.take(&n.to_string(), RATE, now);
        }
        assert_eq!(limits.rest.len(), MOST);
        assert_eq!(limits.take("late", RATE, now), RATE.each);
    }
}
