//! Stops asking a service that keeps failing, then tries it with one call.

use std::time::{Duration, Instant};

/// A circuit breaker: opens after failures in a row, lets one call through after a pause, and
/// closes when that one succeeds. Pure: the time is passed in.
#[derive(Debug, Clone)]
pub struct Breaker {
    failures_to_open: u32,
    open_for: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    // One call is out; should it never report, the next may go at `until`.
    Trying { until: Instant },
}

impl Default for Breaker {
    /// Opens after 5 failures in a row, for 30 s.
    fn default() -> Self {
        Self::new(5, Duration::from_secs(30))
    }
}

impl Breaker {
    /// Makes a closed breaker. `failures_to_open` of 0 counts as 1.
    pub fn new(failures_to_open: u32, open_for: Duration) -> Self {
        Self {
            failures_to_open: failures_to_open.max(1),
            open_for,
            state: State::Closed { failures: 0 },
        }
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// With the time left to wait, when the breaker is open or its one trial call is still out.
    pub fn allow(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until } | State::Trying { until } if now < until => Err(until - now),
            State::Open { .. } | State::Trying { .. } => {
                self.state = State::Trying {
                    until: now + self.open_for,
                };
                Ok(())
            }
        }
    }

    /// Notes a call that succeeded.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// Notes a call that failed. Returns true when this failure opened the breaker.
    pub fn failed(&mut self, now: Instant) -> bool {
        let until = now + self.open_for;
        match self.state {
            State::Closed { failures } if failures + 1 < self.failures_to_open => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
                false
            }
            State::Closed { .. } => {
                self.state = State::Open { until };
                true
            }
            State::Trying { .. } => {
                self.state = State::Open { until };
                false
            }
            // A call that left before the breaker opened: the pause is not made longer by it.
            State::Open { .. } => false,
        }
    }

    /// True while calls are held back, the trial call included.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, PAUSE);
        assert_eq!([(); 3].map(|()| breaker.failed(now)), [false, false, true]);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_says_how_long() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(breaker.is_open());
        assert_eq!(breaker.allow(now + PAUSE / 3), Err(PAUSE * 2 / 3));
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, PAUSE);
        for _ in 0..10 {
            breaker.failed(now);
            breaker.succeeded();
        }
        assert_eq!(breaker.allow(now), Ok(()));
    }

    #[test]
    fn after_the_pause_exactly_one_call_goes_through() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + PAUSE;
        assert_eq!(breaker.allow(later), Ok(()));
        assert_eq!(breaker.allow(later), Err(PAUSE));
        breaker.succeeded();
        assert!(!breaker.is_open());
        assert_eq!(breaker.allow(later), Ok(()));
    }

    #[test]
    fn a_failed_trial_opens_it_again() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + PAUSE;
        breaker.allow(later).unwrap();
        breaker.failed(later);
        assert_eq!(breaker.allow(later + PAUSE / 2), Err(PAUSE / 2));
        assert_eq!(breaker.allow(later + PAUSE), Ok(()));
    }

    #[test]
    fn a_trial_that_never_reports_does_not_lock_it_for_ever() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.allow(now + PAUSE).unwrap();
        assert_eq!(breaker.allow(now + PAUSE * 2), Ok(()));
    }
}
