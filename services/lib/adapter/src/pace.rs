//! Waiting for one's turn to ask the platform.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use proto::v1::{Address, ConversationKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Rate, limits::Limits};

/// Longer waits are not waited for here, so that expiry and hand-over are not held up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The account's limits, shared by all that ask its platform.
pub(crate) struct Pace {
    limits: Mutex<Limits>,
    /// Whoever waits for the account waits in line.
    line: tokio::sync::Mutex<()>,
    stop: CancellationToken,
}

impl Pace {
    pub(crate) fn new(rate: Rate, stop: CancellationToken) -> Self {
        Self {
            limits: Mutex::new(Limits::new(rate)),
            line: tokio::sync::Mutex::default(),
            stop,
        }
    }

    /// Waits until a request to `to` may go, and counts it; `message` says whether people see something new by it.
    ///
    /// # Errors
    /// When it takes long, or the service stops: how long to wait before asking again.
    pub(crate) async fn wait(&self, to: &Address, message: bool) -> Result<(), Duration> {
        loop {
            self.sleep(|limits, now| conversation(limits, to, message, now))
                .await?;
            let _line = self.line.lock().await;
            self.sleep(|limits, now| limits.wait_account(now)).await?;
            if self.try_take(to, message) {
                return Ok(());
            }
        }
    }

    /// Counts a request to `to` if it may go at once.
    pub(crate) fn try_take(&self, to: &Address, message: bool) -> bool {
        let now = Instant::now().into_std();
        let mut limits = self.limits();
        let free = conversation(&limits, to, message, now)
            .max(limits.wait_account(now))
            .is_zero();
        match (free, message) {
            (false, _) => {}
            (true, true) => limits.take(&to.conversation, group(to), now),
            (true, false) => limits.take_account(now),
        }
        free
    }

    /// The platform said "too fast".
    pub(crate) fn refused(&self, to: &Address, pause: Duration) {
        self.limits()
            .refused(&to.conversation, pause, Instant::now().into_std());
    }

    /// The platform took a request.
    pub(crate) fn accepted(&self) {
        self.limits().accepted();
    }

    async fn sleep(
        &self,
        wait: impl Fn(&Limits, std::time::Instant) -> Duration,
    ) -> Result<(), Duration> {
        loop {
            let left = wait(&self.limits(), Instant::now().into_std());
            if left.is_zero() {
                return Ok(());
            }
            if left > PATIENCE {
                return Err(left);
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.stop.cancelled() => return Err(left),
            }
        }
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn conversation(limits: &Limits, to: &Address, message: bool, now: std::time::Instant) -> Duration {
    if message {
        limits.wait(&to.conversation, group(to), now)
    } else {
        limits.paused(&to.conversation, now)
    }
}

fn group(to: &Address) -> bool {
    matches!(
        to.kind(),
        ConversationKind::Group | ConversationKind::Channel
    )
}
