//! Hearing a platform: connects again and again, and asks every half minute whether the platform is still there.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bus::{Bus, Fence};
use proto::v1::ConnectionState;
use tokio_util::sync::CancellationToken;

use crate::{
    Account, Adapter, Error, Inbox, RetryPolicy, Via, control::Control, outbox::chain,
    status::Status,
};

/// Between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// Between two probes while the credentials are refused: a person may mend them.
const PROBE_REFUSED_EVERY: Duration = Duration::from_secs(5 * 60);
/// How often it is looked whether the account is still ours.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A probe that takes longer has failed.
const PROBE_PATIENCE: Duration = Duration::from_secs(20);

/// Hears one account's platform for as long as this process owns the account.
pub(crate) struct Hearing<A> {
    pub(crate) adapter: Arc<A>,
    pub(crate) account: Arc<Account>,
    pub(crate) bus: Bus,
    pub(crate) status: Arc<Status>,
    pub(crate) retry: RetryPolicy,
    pub(crate) control: Arc<Control>,
}

impl<A: Adapter> Hearing<A> {
    /// Hears until `lost`: the service stops, or another process takes the account over.
    pub(crate) async fn run(&self, fence: Fence, lost: CancellationToken) {
        let told = CancellationToken::new();
        let inbox = Inbox::of(
            self.bus.clone(),
            self.account.clone(),
            self.status.clone(),
            lost.clone(),
        );
        let work = async {
            tokio::select! {
                () = lost.cancelled() => {}
                () = self.receive(&inbox, &fence) => {}
                () = self.probe() => {}
            }
            self.status.disconnected();
            told.cancel();
        };
        let obey = async {
            if let Err(error) = self.control.obey(&self.bus, &told).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "operators cannot reach `{}`", self.account.key());
            }
        };
        tokio::join!(work, self.status.tell(&self.bus, &told), obey);
    }

    /// Never returns.
    async fn receive(&self, inbox: &Inbox, fence: &Fence) {
        let (mut failures, mut again) = (0, self.control.again());
        self.status.turn(ConnectionState::Connecting, String::new());
        loop {
            again.mark_unchanged();
            let heard_before = self.status.connection().proved_at_ms;
            let ended = tokio::select! {
                ended = self.adapter.receive(inbox) => ended,
                _ = again.changed() => continue,
                () = self.overdue(fence) => {
                    // Another process may hear the account by now; two must not.
                    self.status.turn(ConnectionState::Reconnecting, "the bus is away".into());
                    while !fence.holds() {
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                    continue;
                }
            };
            if self.status.connection().proved_at_ms > heard_before {
                failures = 0;
            }
            failures += 1;
            self.status.attempts(failures);
            let mut pause = self.retry.pause(failures, chance());
            let why = match ended {
                Ok(()) => String::new(),
                Err(Error::Unauthorized(why)) => {
                    self.status.refused(&why);
                    self.status.mended().await;
                    continue;
                }
                Err(error) => {
                    if let Error::RateLimited(at_least) = error {
                        pause = pause.max(at_least);
                    }
                    chain(&error)
                }
            };
            if !self.status.permanently_failed() {
                self.status.turn(ConnectionState::Reconnecting, why);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = again.changed() => {}
            }
            self.status.mended().await;
        }
    }

    /// Returns when it is no longer sure that no other process hears the account. Any number may serve a webhook.
    async fn overdue(&self, fence: &Fence) {
        while fence.holds() || self.status.connection().via == Via::Webhook.name() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Never returns.
    async fn probe(&self) {
        let mut failed = false;
        loop {
            let proof = tokio::time::timeout(PROBE_PATIENCE, self.adapter.probe()).await;
            match proof
                .unwrap_or_else(|_| Err(Error::Unavailable("no answer to the health check".into())))
            {
                Ok(proof) => {
                    self.status.proved(&proof);
                    self.status.works();
                    if std::mem::take(&mut failed) {
                        self.status.recovered();
                    }
                }
                Err(Error::Unauthorized(why)) => self.status.refused(&why),
                Err(error) => {
                    failed = true;
                    self.status.ails(chain(&error));
                }
            }
            let pause = if self.status.permanently_failed() {
                PROBE_REFUSED_EVERY
            } else {
                PROBE_EVERY
            };
            self.control.probed();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.control.probe_wanted() => {}
            }
        }
    }
}

/// A number from 0 to 1, by chance.
fn chance() -> f64 {
    let random = RandomState::new().hash_one(());
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}
