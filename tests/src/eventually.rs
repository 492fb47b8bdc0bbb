//! Waiting for a state of the world, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long any state may take to come: longer than the slowest healing there is.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often the world is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to see, and returns it.
///
/// `what` completes the sentence "waited in vain for ...". A look that hangs counts against the same deadline.
///
/// # Panics
/// After [`DEADLINE`].
pub async fn eventually<T, F, Fut>(what: &str, look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    within(DEADLINE, what, look).await
}

async fn within<T, F, Fut>(deadline: Duration, what: &str, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(deadline, looking).await {
        Ok(seen) => seen,
        Err(_) => panic!("waited in vain for {what} ({deadline:?})"),
    }
}

/// [`eventually`] for code that is not async.
///
/// # Panics
/// After [`DEADLINE`].
pub fn blocking<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(
            Instant::now() < end,
            "waited in vain for {what} ({DEADLINE:?})"
        );
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_that_comes_is_returned() {
        let mut looks = 0;
        let seen = eventually("the third look", || {
            looks += 1;
            let seen = (looks == 3).then_some(looks);
            async move { seen }
        })
        .await;
        assert_eq!(seen, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "waited in vain for a miracle")]
    async fn a_look_that_hangs_is_named() {
        within(
            Duration::from_millis(1),
            "a miracle",
            std::future::pending::<Option<()>>,
        )
        .await;
    }
}
