//! Where an adapter puts what it hears: on the bus before the platform is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{
    Bus,
    trace::{self, Trace},
};
use chassis::clock::now_ms;
use proto::{
    id, priority, session, subject,
    v1::{Inbound, Unknown, inbound::Body},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::{
    Account, Error, Via,
    media::MediaStore,
    status::{Count, Status},
};

/// Most bytes of the platform's own form of an event that travel with it.
const MAX_RAW_BYTES: usize = 64 * 1024;
/// Longest pause between two attempts to store an event.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The adapter's way to the bus. Clones share it.
#[derive(Clone)]
pub struct Inbox {
    bus: Bus,
    account: Arc<Account>,
    status: Arc<Status>,
    stop: CancellationToken,
}

impl Inbox {
    /// An inbox of its own, as tests of an adapter want it; the runner makes the one that counts.
    #[must_use]
    pub fn new(bus: Bus, account: Account, stop: CancellationToken) -> Self {
        let status = Arc::new(Status::new(&account, Via::default()));
        Self::of(bus, Arc::new(account), status, stop)
    }

    pub(crate) fn of(
        bus: Bus,
        account: Arc<Account>,
        status: Arc<Status>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            bus,
            account,
            status,
            stop,
        }
    }

    /// Stores an event; when it returns `Ok`, the platform may forget it.
    ///
    /// The adapter fills in `dedupe_key`, `address`, `sender`, `body`, `raw` and what else it knows; the rest is filled
    /// in here. While the bus is away or full this waits and tries again, so that the platform keeps what comes next.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the service stops or loses the account before the event is stored: do not
    /// acknowledge it to the platform, which then tells it again.
    pub async fn accept(&self, inbound: Inbound) -> Result<(), Error> {
        let inbound = self.fill(inbound);
        trace::scope(Trace::begin(), self.store(inbound)).await
    }

    /// The platform has just proved that it hears us: the connection stands.
    pub fn heard(&self) {
        self.status.heard();
    }

    /// The platform is heard another way from now on, such as polling after the webhook failed.
    pub fn via(&self, via: Via) {
        self.status.via(via);
    }

    /// Where the files of events belong.
    #[must_use]
    pub fn media(&self) -> &MediaStore {
        &self.account.media
    }

    /// The account that is heard.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Cancelled when the service stops or another process takes the account over.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    fn fill(&self, mut inbound: Inbound) -> Inbound {
        inbound.received_at_ms = now_ms();
        inbound.id = id::of_event(&inbound.dedupe_key);
        if bus::sabotaged("dedupe") {
            inbound.id = id::of_event(&format!("{:?}{}", Instant::now(), inbound.id));
        }
        if inbound.occurred_at_ms == 0 {
            inbound.occurred_at_ms = inbound.received_at_ms;
        }
        let address = inbound.address.get_or_insert_default();
        address.platform.clone_from(&self.account.platform);
        address.account.clone_from(&self.account.name);
        if inbound.raw.len() > MAX_RAW_BYTES {
            inbound.raw.truncate(MAX_RAW_BYTES);
            inbound.raw_cut = true;
        }
        inbound
    }

    async fn store(&self, mut inbound: Inbound) -> Result<(), Error> {
        let subject = self.subject(&inbound);
        let mut pause = Duration::from_millis(100);
        loop {
            let failure = tokio::select! {
                biased;
                stored = self.bus.publish(&subject, &inbound.id, &inbound) => match stored {
                    Ok(stored) => {
                        debug!(message.id = %inbound.id, duplicate = stored.duplicate, "accepted `{}`", inbound.id);
                        self.status.count(Count::Received);
                        return Ok(());
                    }
                    Err(failure) => failure,
                },
                () = self.stop.cancelled() => return Err(stopping()),
            };
            match failure {
                bus::Error::Invalid(why) if shrink(&mut inbound) => {
                    warn!(message.id = %inbound.id, why, "stored less of `{}`", inbound.id);
                    continue;
                }
                bus::Error::Unavailable(_) | bus::Error::Full(_) => {
                    warn!(
                        error = &failure as &dyn std::error::Error,
                        "event waits for the bus"
                    );
                }
                bus::Error::Invalid(_) | bus::Error::Refused(_) => {
                    error!(
                        error = &failure as &dyn std::error::Error,
                        "event cannot be stored"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return Err(stopping()),
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn subject(&self, inbound: &Inbound) -> String {
        let sender = inbound.sender.clone().unwrap_or_default();
        let address = inbound.address.clone().unwrap_or_default();
        let session_key = match inbound.session_key.as_str() {
            "" => session::Key::of(&address, &sender).to_string(),
            asked_for => asked_for.to_owned(),
        };
        subject::inbound(
            self.bus.partitions(),
            priority::of(inbound),
            &address.platform,
            &session_key,
        )
    }
}

/// Makes an event that is too large smaller: first without its raw form, then without its content. False when there is
/// no more to take away.
fn shrink(inbound: &mut Inbound) -> bool {
    if !inbound.raw.is_empty() {
        inbound.raw.clear();
        inbound.raw_cut = true;
        return true;
    }
    if matches!(inbound.body, Some(Body::Unknown(_))) {
        return false;
    }
    inbound.body = Some(Body::Unknown(Unknown {
        kind: "too large".into(),
    }));
    true
}

fn stopping() -> Error {
    Error::Unavailable("the service stops".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_giant_event_shrinks_until_it_fits_and_no_further() {
        let mut giant = Inbound {
            raw: vec![1; 9],
            ..Inbound::default()
        };
        assert!(shrink(&mut giant));
        assert!(giant.raw.is_empty() && giant.raw_cut);
        assert!(shrink(&mut giant));
        assert!(!shrink(&mut giant));
    }
}
