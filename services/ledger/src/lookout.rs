//! Looks for messages that wait, and for those that vanished without an end.

use std::time::Duration;

use bus::Bus;
use chassis::clock::now_ms;
use proto::{
    subject,
    v1::{Address, Dead},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    Applied, Config, Error,
    mark::ENDED,
    notice,
    started::Begun,
    store::{Keeper, Open},
    undertaker,
};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(2);
/// A conversation is told this often at most that messages wait; a message that waits longer is not told any more.
const TELL_AGAIN_MS: i64 = 10 * 60 * 1000;

/// Watches over messages until `stop`.
pub(crate) struct Lookout<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) config: &'a Config,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) applied: Applied,
    pub(crate) begun: Begun,
    pub(crate) keeper: Keeper,
}

impl Lookout<'_> {
    /// Runs until told to stop, then closes the file.
    ///
    /// # Errors
    /// [`Error::Database`] when the file cannot be closed; anything else heals here.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(look.tick()).await.is_some() {
            if let Err(error) = self.look(now_ms()).await {
                error!(
                    error = &error as &dyn std::error::Error,
                    "late messages were not looked for"
                );
            }
        }
        self.keeper.close().await
    }

    async fn look(&mut self, now_ms: i64) -> Result<(), Error> {
        let overdue_ms = self.config.overdue_ms();
        let slow = self.keeper.slow(now_ms - TELL_AGAIN_MS, now_ms).await?;
        let overdue = self.keeper.overdue(now_ms - overdue_ms).await?;
        metrics::gauge!("openclaw_ledger_overdue_messages").set(overdue.len() as f64);
        // What ended meanwhile may not be written down yet: then it is looked again.
        if slow.is_empty() && overdue.is_empty() || !self.applied.catch_up(self.bus).await {
            return Ok(());
        }
        for open in self.keeper.slow(now_ms - TELL_AGAIN_MS, now_ms).await? {
            self.tell(&open, now_ms).await?;
        }
        for open in self.keeper.overdue(now_ms - overdue_ms).await? {
            self.find(&open, now_ms).await?;
        }
        Ok(())
    }

    /// Tells who wrote that the message waits, unless it does not or the conversation was told lately.
    async fn tell(&mut self, open: &Open, now_ms: i64) -> Result<(), Error> {
        let turn_id = &open.accepted.turn_id;
        let Some(address) = notice::origin(&open.accepted) else {
            return Ok(());
        };
        let place = place(address);
        let since_ms = now_ms - TELL_AGAIN_MS;
        if self.begun.at_ms(turn_id).is_some() || self.keeper.was_told(&place, since_ms).await? {
            return Ok(());
        }
        if let Some(notice) = notice::of_slow(&open.accepted, now_ms) {
            undertaker::send(self.bus, &notice).await?;
            self.keeper.told(turn_id, &place, now_ms).await?;
        }
        Ok(())
    }

    /// Gives up what is nowhere any more; what waits in its stream is late, not lost.
    async fn find(&mut self, open: &Open, now_ms: i64) -> Result<(), Error> {
        let accepted = &open.accepted;
        let (turn_id, address) = (&accepted.turn_id, notice::origin(accepted));
        let (waits_in, reason) = match open.flags & ENDED {
            0 => (
                subject::turns(
                    self.bus.partitions(),
                    &accepted.agent,
                    &accepted.session_key,
                ),
                "lost: its turn never ended",
            ),
            _ => (
                subject::outbounds(&address.cloned().unwrap_or_default()),
                "lost: its answer was never sent",
            ),
        };
        // What has waited there as long may well be it.
        let oldest_ms = self.bus.waits_since(&waits_in).await?;
        if oldest_ms.is_some_and(|oldest_ms| oldest_ms <= now_ms - self.config.overdue_ms()) {
            return self.keeper.postpone(turn_id, now_ms).await;
        }
        warn!(turn.id = %turn_id, "message `{turn_id}` is given up as {reason}");
        metrics::counter!("openclaw_ledger_lost_total").increment(1);
        let dead = Dead {
            reason: reason.into(),
            ..Dead::default()
        };
        let farewell = notice::of_lost(accepted, dead, now_ms);
        let told_before = match &farewell.notice {
            Some(notice) => self.keeper.was_settled(&notice.id).await?,
            None => true,
        };
        let notice = farewell.notice.filter(|_| !told_before);
        undertaker::publish(self.bus, &farewell.event, notice.as_ref()).await?;
        self.keeper.postpone(turn_id, now_ms).await
    }
}

fn place(address: &Address) -> String {
    let Address {
        platform,
        account,
        conversation,
        ..
    } = address;
    format!("{platform}/{account}/{conversation}")
}
