//! What holds calls back after failures: of the platform, and of the credentials.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::breaker::Breaker;
use tokio::time::Instant;

/// Between two calls while the credentials are refused.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// The breakers of one account.
pub(crate) struct Gates(Mutex<Breakers>);

struct Breakers {
    platform: Breaker,
    credentials: Breaker,
    /// When a failure of the platform was counted last.
    counted_at: Option<Instant>,
}

impl Default for Gates {
    fn default() -> Self {
        Self(Mutex::new(Breakers {
            platform: Breaker::default(),
            credentials: Breaker::new(1, REFUSED_PAUSE),
            counted_at: None,
        }))
    }
}

impl Gates {
    /// Asks for leave to call.
    ///
    /// # Errors
    /// With the time to wait.
    pub(crate) fn allow(&self) -> Result<(), Duration> {
        let (now, mut breakers) = (Instant::now().into_std(), self.breakers());
        breakers.credentials.allow(now)?;
        breakers.platform.allow(now)
    }

    /// The platform did as asked, or at least read it.
    pub(crate) fn answered(&self) {
        let mut breakers = self.breakers();
        breakers.platform.succeeded();
        breakers.credentials.succeeded();
    }

    /// The platform did not answer the call that began at `began`, or said that it cannot. True when this opened the
    /// gate's breaker.
    ///
    /// Calls under way together mostly fail together, when one connection breaks or this process was asleep: they
    /// count as one failure.
    pub(crate) fn failed(&self, began: Instant) -> bool {
        let (now, mut breakers) = (Instant::now(), self.breakers());
        if breakers.counted_at.is_some_and(|counted| began < counted) {
            return false;
        }
        breakers.counted_at = Some(now);
        breakers.platform.failed(now.into_std())
    }

    /// The platform refused the credentials.
    pub(crate) fn refused(&self) {
        self.breakers()
            .credentials
            .failed(Instant::now().into_std());
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_fail_together_are_one_failure() {
        let (gates, together) = (Gates::default(), Instant::now());
        assert!(!(0..100).any(|_| gates.failed(together)));
        assert!(gates.allow().is_ok());
        assert!((0..5).any(|_| gates.failed(Instant::now())));
        assert!(gates.allow().is_err());
    }
}
