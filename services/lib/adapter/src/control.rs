//! What an operator tells the process that has an account: hear the platform anew, give the account away, take part again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bus::Bus;
use proto::{
    subject,
    v1::{self, Connection, ConnectionState},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{Account, status::Status};

/// The operator's hold on one account in this process.
pub(crate) struct Control {
    platform: String,
    account: String,
    status: Arc<Status>,
    /// Counts how often the platform is to be heard anew.
    again: watch::Sender<u64>,
    /// While this process takes part; cancelled to give the account away.
    part: Mutex<CancellationToken>,
    /// An operator has stopped the account for every process.
    held: AtomicBool,
    /// A health check is to be made now.
    wanted: Notify,
    /// Counts the health checks that were made.
    probes: watch::Sender<u64>,
}

impl Control {
    pub(crate) fn new(account: &Account, status: &Arc<Status>) -> Self {
        Self {
            platform: account.platform.clone(),
            account: account.name.clone(),
            status: status.clone(),
            again: watch::Sender::new(0),
            part: Mutex::default(),
            held: AtomicBool::new(false),
            wanted: Notify::new(),
            probes: watch::Sender::new(0),
        }
    }

    /// Begins to take part: the token is cancelled at `stop`, or when the account is to be given away.
    pub(crate) fn take_part(&self, stop: &CancellationToken) -> CancellationToken {
        self.held.store(false, Ordering::Relaxed);
        let part = stop.child_token();
        *self.part.lock().unwrap_or_else(PoisonError::into_inner) = part.clone();
        part
    }

    /// Changes whenever the platform is to be heard anew.
    pub(crate) fn again(&self) -> watch::Receiver<u64> {
        self.again.subscribe()
    }

    /// Obeys while this process has the account, until `stop`.
    ///
    /// # Errors
    /// The connection to the bus is closed for good.
    pub(crate) async fn obey(
        self: &Arc<Self>,
        bus: &Bus,
        stop: &CancellationToken,
    ) -> Result<(), bus::Error> {
        let (reconnect, drain) = (self.subject("reconnect"), self.subject("drain"));
        let reconnect = self.answer(bus, &reconnect, stop, Self::reconnect);
        let drain = self.answer(bus, &drain, stop, Self::drain);
        let probe = self.subject("probe");
        let probe = bus.answer(&probe, stop, |_: v1::Control| {
            let (control, mut probes) = (self.clone(), self.probes.subscribe());
            async move {
                control.wanted.notify_one();
                let _ = probes.changed().await;
                Ok::<Connection, _>(control.status.connection())
            }
        });
        tokio::try_join!(reconnect, drain, probe).map(|_| ())
    }

    /// Waits until somebody wants a health check at once.
    pub(crate) async fn probe_wanted(&self) {
        self.wanted.notified().await;
    }

    /// A health check was made.
    pub(crate) fn probed(&self) {
        self.probes.send_modify(|probes| *probes += 1);
    }

    /// Waits, given away, until this process is to take part again, or `stop`.
    ///
    /// # Errors
    /// As [`Control::obey`].
    pub(crate) async fn wait(
        self: &Arc<Self>,
        bus: &Bus,
        stop: &CancellationToken,
    ) -> Result<(), bus::Error> {
        let resumed = self.take_part(stop);
        self.answer(bus, &self.subject("resume"), &resumed, Self::resume)
            .await
    }

    async fn answer(
        self: &Arc<Self>,
        bus: &Bus,
        subject: &str,
        stop: &CancellationToken,
        act: fn(&Self),
    ) -> Result<(), bus::Error> {
        bus.answer(subject, stop, |_: v1::Control| {
            act(self);
            let connection: Connection = self.status.connection();
            async move { Ok(connection) }
        })
        .await
    }

    fn reconnect(&self) {
        info!("an operator has `{}` connect anew", self.name());
        let why = "an operator asked for it".into();
        self.status.turn(ConnectionState::Reconnecting, why);
        self.again.send_modify(|times| *times += 1);
    }

    fn drain(&self) {
        info!("an operator drains `{}`", self.name());
        let why = format!(
            "drained by an operator; `openclaw connections resume {}` ends that",
            self.name()
        );
        self.status.turn(ConnectionState::Disconnected, why);
        self.leave();
    }

    fn resume(&self) {
        info!("an operator resumes `{}`", self.name());
        self.status.turn(ConnectionState::Connecting, String::new());
        self.leave();
    }

    /// An operator has stopped the account: gives it away, and waits for nobody to resume it here.
    pub(crate) fn hold(&self) {
        info!("an operator has stopped `{}`", self.name());
        let why = format!(
            "stopped by an operator; `openclaw connections resume {}` ends that",
            self.name()
        );
        self.held.store(true, Ordering::Relaxed);
        self.status.turn(ConnectionState::Disconnected, why);
        self.leave();
    }

    /// Whether the account was given away because an operator has stopped it.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    fn leave(&self) {
        let part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        part.cancel();
    }

    fn name(&self) -> String {
        format!("{}:{}", self.platform, self.account)
    }

    fn subject(&self, verb: &str) -> String {
        subject::control(&self.platform, &self.account, verb)
    }
}
