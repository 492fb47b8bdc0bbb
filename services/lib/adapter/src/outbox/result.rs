//! What a call of the platform came to, and what follows from it.

use std::time::Duration;

use prost::Message as _;
use proto::v1::IntentState;
use tokio::time::Instant;
use tracing::warn;

use super::{Chunk, Outbox, Step, chain};
use crate::{
    Adapter, Error, OnUnknown, gates::REFUSED_PAUSE, intents::Ticket, measures, status::Count,
};

/// Calls of a platform that says "not now" for one chunk before it is given up.
const ATTEMPTS: u32 = 3;
/// A larger outbound is not kept with its unknown chunk: the bucket is for small records.
const MAX_KEPT_BYTES: usize = 256 * 1024;

impl<A: Adapter> Outbox<A> {
    /// The chunk is on the platform.
    pub(super) async fn sent(
        &self,
        chunk: &Chunk<'_>,
        ticket: Ticket,
        platform_id: &str,
    ) -> Result<Step, bus::Error> {
        self.count(chunk, "sent");
        self.pace.accepted();
        self.gates.answered();
        self.status.works();
        self.status.count(Count::Sent);
        let (key, sending_at_ms) = (ticket.key.clone(), ticket.intent.at_ms);
        // The event is the record of it where nothing of the outbound comes after, so that it costs one write. A new
        // owner may have looked for that already, and a later chunk may bring this one up again.
        let alone = chunk.total == 1 && chunk.delivery.fence.holds();
        self.intents.sent(ticket, platform_id, alone).await?;
        self.tell_sent(chunk, platform_id, sending_at_ms).await?;
        self.intents.told(&key, platform_id);
        Ok(Step::Done)
    }

    /// The platform did not do as asked.
    pub(super) async fn not_sent(
        &self,
        chunk: &Chunk<'_>,
        ticket: Ticket,
        error: Error,
        began: Instant,
    ) -> Result<Step, bus::Error> {
        let why = chain(&error);
        warn!(message.id = %chunk.delivery.message.id, %why, "{} not sent: {error}", chunk.action.name());
        match error {
            Error::RateLimited(pause) => {
                self.count(chunk, "rate_limited");
                self.pace.refused(chunk.to, pause);
                self.put_back(ticket, &why).await?;
                Ok(Step::Later(pause))
            }
            Error::Unavailable(_) => {
                self.count(chunk, "unavailable");
                self.platform_failed(began);
                let attempts = ticket.intent.attempts;
                // While the connection is down as well, it is the network: no message is given up for that.
                if attempts >= ATTEMPTS && self.status.reconnecting() {
                    self.put_back(ticket, &why).await?;
                    return Ok(Step::Later(backoff(attempts)));
                }
                if attempts >= ATTEMPTS {
                    self.intents
                        .finish(ticket, IntentState::Failed, &why)
                        .await?;
                    return Ok(Step::Never(format!("{why}, {attempts} attempts")));
                }
                self.intents
                    .finish(ticket, IntentState::Queued, &why)
                    .await?;
                Ok(Step::Later(backoff(attempts)))
            }
            Error::Unknown(_) => {
                self.count(chunk, "unknown");
                self.platform_failed(began);
                self.unsure(chunk, ticket, &why).await
            }
            Error::Rejected(_) => {
                self.count(chunk, "rejected");
                self.gates.answered();
                self.intents
                    .finish(ticket, IntentState::Failed, &why)
                    .await?;
                Ok(Step::Never(why))
            }
            Error::Unauthorized(_) => {
                self.count(chunk, "unauthorized");
                self.gates.refused();
                self.status.refused(&why);
                self.put_back(ticket, &why).await?;
                Ok(Step::Later(REFUSED_PAUSE))
            }
        }
    }

    /// Nobody can say whether the chunk is on the platform.
    pub(super) async fn unsure(
        &self,
        chunk: &Chunk<'_>,
        mut ticket: Ticket,
        why: &str,
    ) -> Result<Step, bus::Error> {
        let attempts = ticket.intent.attempts;
        let harmless = chunk.action.repeatable() || self.capabilities.idempotent;
        let wanted = self.account.on_unknown == OnUnknown::Resend && attempts < 2;
        if wanted || harmless && attempts < ATTEMPTS {
            self.intents
                .finish(ticket, IntentState::Queued, why)
                .await?;
            return Ok(Step::Later(backoff(attempts)));
        }
        if ticket.intent.state() != IntentState::Unknown {
            let outbound = &chunk.delivery.message;
            if outbound.encoded_len() <= MAX_KEPT_BYTES {
                ticket.intent.outbound = Some(outbound.clone());
            }
            self.intents
                .finish(ticket, IntentState::Unknown, why)
                .await?;
            self.count(chunk, "held");
            self.status.count(Count::Failed);
        }
        self.tell_unsure(chunk, why).await?;
        Ok(Step::Done)
    }

    /// The call did nothing and does not count as an attempt.
    pub(super) async fn put_back(&self, mut ticket: Ticket, why: &str) -> Result<(), bus::Error> {
        ticket.intent.attempts = ticket.intent.attempts.saturating_sub(1);
        self.intents
            .finish(ticket, IntentState::Queued, why)
            .await
            .map(|_| ())
    }

    fn platform_failed(&self, began: Instant) {
        if self.gates.failed(began) {
            let name = self.account.key();
            warn!(account = %name, "`{name}` fails again and again; nothing is sent for a while");
            measures::breaker_opened(name);
        }
    }
}

fn backoff(attempts: u32) -> Duration {
    Duration::from_secs(2_u64.saturating_pow(attempts).min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        assert_eq!(
            [backoff(1), backoff(2), backoff(99)].map(|pause| pause.as_secs()),
            [2, 4, 60]
        );
    }
}
