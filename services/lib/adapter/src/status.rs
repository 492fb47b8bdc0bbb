//! How an account's connection does, as people see it: states, since when, counters.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bus::{Bucket, Bus};
use chassis::clock::now_ms;
use proto::v1::{Connection, ConnectionState};
use tokio::{sync::Notify, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Account, Proof, Via, measures};

/// Counters are told at most this often; changes of state at once.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The state of one account's connection, shared by all who change it.
#[derive(Debug)]
pub(crate) struct Status {
    key: String,
    now: Mutex<Connection>,
    changed: Notify,
    mended: Notify,
}

/// What became of a message that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Received,
    Sent,
    Failed,
}

impl Status {
    pub(crate) fn new(account: &Account, via: Via) -> Self {
        let now = Connection {
            platform: account.platform.clone(),
            account: account.name.clone(),
            via: via.name().into(),
            since_ms: now_ms(),
            ..Connection::default()
        };
        Self {
            key: account.key(),
            now: Mutex::new(now),
            changed: Notify::new(),
            mended: Notify::new(),
        }
    }

    /// What stands now.
    pub(crate) fn connection(&self) -> Connection {
        self.lock().clone()
    }

    /// Whether only a person can mend the connection.
    pub(crate) fn permanently_failed(&self) -> bool {
        self.lock().state() == ConnectionState::PermanentlyFailed
    }

    /// Whether the platform is not heard now, and it is tried again and again.
    pub(crate) fn reconnecting(&self) -> bool {
        self.lock().state() == ConnectionState::Reconnecting
    }

    /// Waits until the connection is not, or no longer, one that only a person can mend.
    pub(crate) async fn mended(&self) {
        loop {
            let mended = self.mended.notified();
            if !self.permanently_failed() {
                return;
            }
            mended.await;
        }
    }

    /// The platform refuses the credentials.
    pub(crate) fn refused(&self, why: &str) {
        let error = format!("{why}; asked again every 5 minutes, in case somebody mends it");
        self.turn(ConnectionState::PermanentlyFailed, error);
    }

    /// The platform did as asked: the credentials are good, if that was in doubt.
    pub(crate) fn works(&self) {
        if self.permanently_failed() {
            self.turn(ConnectionState::Reconnecting, String::new());
        }
    }

    /// The platform has proved that it hears us.
    pub(crate) fn heard(&self) {
        self.lock().proved_at_ms = now_ms();
        self.turn(ConnectionState::Connected, String::new());
    }

    /// The health check fails while the connection seems to stand.
    pub(crate) fn ails(&self, why: String) {
        if self.connection().state() == ConnectionState::Connected {
            self.turn(ConnectionState::Error, why);
        }
    }

    /// The health check succeeds again.
    pub(crate) fn recovered(&self) {
        if self.connection().state() == ConnectionState::Error {
            self.turn(ConnectionState::Connected, String::new());
        }
    }

    /// A probe came back.
    pub(crate) fn proved(&self, proof: &Proof) {
        let mut now = self.lock();
        now.proved_at_ms = now_ms();
        now.display_name.clone_from(&proof.display_name);
        now.via = proof.via.name().into();
    }

    /// The platform is heard another way from now on.
    pub(crate) fn via(&self, via: Via) {
        let mut now = self.lock();
        if now.via != via.name() {
            now.via = via.name().into();
            drop(now);
            self.changed.notify_one();
        }
    }

    /// The platform is not heard any more; why, if that was said before.
    pub(crate) fn disconnected(&self) {
        if self.connection().state() != ConnectionState::Disconnected {
            self.turn(ConnectionState::Disconnected, String::new());
        }
    }

    /// How often connecting has failed in a row.
    pub(crate) fn attempts(&self, attempts: u32) {
        self.lock().attempts = attempts;
    }

    /// Goes to `state`; `error` says why in words for people, empty when all is well.
    pub(crate) fn turn(&self, state: ConnectionState, error: String) {
        let mut now = self.lock();
        if now.state() == state && now.error == error {
            return;
        }
        if now.state() != state {
            now.since_ms = now_ms();
            measures::state(&self.key, state);
            let word = state.as_str_name();
            match state {
                ConnectionState::Error | ConnectionState::Reconnecting => {
                    warn!(account = %self.key, %error, "connection of `{}` is {word}", self.key);
                }
                ConnectionState::PermanentlyFailed => {
                    tracing::error!(account = %self.key, %error, "connection of `{}` is {word}", self.key);
                }
                _ => info!(account = %self.key, "connection of `{}` is {word}", self.key),
            }
        }
        now.set_state(state);
        now.error = error;
        if state == ConnectionState::Connected {
            now.attempts = 0;
        }
        drop(now);
        self.changed.notify_one();
        if state != ConnectionState::PermanentlyFailed {
            self.mended.notify_waiters();
        }
    }

    /// One more message.
    pub(crate) fn count(&self, what: Count) {
        let mut now = self.lock();
        let counter = match what {
            Count::Received => &mut now.received,
            Count::Sent => &mut now.sent,
            Count::Failed => &mut now.failed,
        };
        *counter = counter.saturating_add(1);
        measures::message(&self.key, what);
    }

    /// Writes the state into the bucket `connections` until `stop`, then once more.
    pub(crate) async fn tell(&self, bus: &Bus, stop: &CancellationToken) {
        let bucket = bus.bucket(Bucket::Connections);
        let mut told = None;
        loop {
            let stopping = stop.is_cancelled();
            let now = self.connection();
            if told.as_ref() != Some(&now) {
                match bucket.put(&self.key, &now).await {
                    Ok(_) => told = Some(now),
                    // Told again after the pause; the connection itself does not suffer.
                    Err(error) => warn!(
                        error = &error as &dyn std::error::Error,
                        "connection state not told"
                    ),
                }
            }
            if stopping {
                return;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // Nothing in here panics half-way, so what a poisoned lock guards is whole.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
