//! Sees to each dead letter once: an event that says so, and a notice to the person who waits.

use std::{pin::pin, time::Duration};

use bus::{Burial, Bus, StreamState};
use chassis::clock::now_ms;
use futures_util::StreamExt;
use prost::Message;
use proto::{
    subject,
    v1::{Dead, Inbound, Outbound, Priority, Turn},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    Applied, Error,
    notice::{self, Farewell, Proof},
    store::{Keeper, Position},
};

/// The stream of dead letters.
const DEAD: &str = "DEAD";
/// What was given up longer ago than this is not told any more.
const FRESH_MS: i64 = 24 * 60 * 60 * 1000;
/// How often it is looked whether the file has caught up.
const BREATH: Duration = Duration::from_millis(500);
/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Sees to dead letters until `stop`.
pub(crate) struct Undertaker<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) applied: Applied,
    pub(crate) keeper: Keeper,
}

impl Undertaker<'_> {
    /// Runs until told to stop, then closes the file.
    ///
    /// # Errors
    /// [`Error::Bus`] when a person must act; anything else heals here.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut pause = PAUSES.0;
        while !self.stop.is_cancelled() {
            let Err(error) = self.round(&mut pause).await else {
                continue;
            };
            if self.stop.is_cancelled() {
                break;
            }
            if let Error::Bus(error @ (bus::Error::Refused(_) | bus::Error::Invalid(_))) = error {
                return Err(error.into());
            }
            error!(
                error = &error as &dyn std::error::Error,
                "dead letters wait; tries again in {pause:?}"
            );
            let pausing = tokio::time::sleep(pause);
            let _ = self.stop.run_until_cancelled(pausing).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        self.keeper.close().await
    }

    async fn round(&mut self, pause: &mut Duration) -> Result<(), Error> {
        let state = self.bus.stream_state(DEAD).await?;
        let mut position = resume(self.keeper.position().await?, &state);
        let mut burials = pin!(self.bus.follow_dead(position.sequence).await?);
        loop {
            let next = self.stop.run_until_cancelled(burials.next());
            let Some(Some(burial)) = next.await else {
                return Ok(());
            };
            self.see_to(&burial).await?;
            position.sequence = burial.sequence;
            self.keeper.advance(position).await?;
            *pause = PAUSES.0;
        }
    }

    async fn see_to(&mut self, burial: &Burial) -> Result<(), Error> {
        let now_ms = now_ms();
        if burial.at_ms < now_ms - FRESH_MS {
            return Ok(());
        }
        let Some(farewell) = farewell(burial, now_ms) else {
            return Ok(());
        };
        // What let the message in, or that its writer was told, may be on its way into the file, which may be a new one.
        while !self.applied.catch_up(self.bus).await {
            let pausing = tokio::time::sleep(BREATH);
            if self.stop.run_until_cancelled(pausing).await.is_none() {
                return Err(bus::Error::Unavailable("the ledger stops".into()).into());
            }
        }
        let notice = match farewell.notice {
            Some(notice) if self.is_due(&notice, &farewell.proof).await? => Some(notice),
            _ => None,
        };
        publish(self.bus, &farewell.event, notice.as_ref()).await?;
        Ok(())
    }

    /// Whether the person was let in, and was not told before.
    async fn is_due(&mut self, notice: &Outbound, proof: &Proof) -> Result<bool, Error> {
        let let_in = match proof {
            Proof::Given => true,
            Proof::Turn(turn_id) => self.keeper.was_let_in(turn_id).await?,
            Proof::Place(address) => self.keeper.knows(address).await?,
        };
        Ok(let_in && !self.keeper.was_settled(&notice.id).await?)
    }
}

/// Publishes the end of a message and the notice of it; both may be repeated.
///
/// # Errors
/// When the bus is away.
pub(crate) async fn publish(
    bus: &Bus,
    event: &proto::v1::Event,
    notice: Option<&Outbound>,
) -> Result<(), bus::Error> {
    if let Some(notice) = notice {
        send(bus, notice).await?;
    }
    taken(
        bus.publish(&subject::event(event), &event.id, event).await,
        &event.id,
    )
}

/// Publishes a notice; while it is on its way it may be repeated, for it is sent under its id once.
///
/// # Errors
/// When the bus is away.
pub(crate) async fn send(bus: &Bus, notice: &Outbound) -> Result<(), bus::Error> {
    let to = notice.to.clone().unwrap_or_default();
    let subject = subject::outbound(&to, Priority::High);
    taken(bus.publish(&subject, &notice.id, notice).await, &notice.id)?;
    metrics::counter!("openclaw_ledger_notices_total").increment(1);
    Ok(())
}

/// What the bus will never take must not hold up the rest.
fn taken(outcome: Result<bus::Stored, bus::Error>, id: &str) -> Result<(), bus::Error> {
    match outcome {
        Err(error @ (bus::Error::Invalid(_) | bus::Error::Refused(_))) => {
            warn!(
                message.id = id,
                error = &error as &dyn std::error::Error,
                "`{id}` cannot be told"
            );
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}

/// What follows from a dead letter; `None` where nobody can be told of anything.
fn farewell(burial: &Burial, now_ms: i64) -> Option<Farewell> {
    let dead = Dead {
        subject: burial.subject.clone(),
        reason: burial.reason.clone(),
        outbound_id: String::new(),
    };
    let payload = burial.payload.clone();
    match burial.subject.split('.').next() {
        Some("in") => {
            let inbound = Inbound::decode(payload).ok()?;
            (!inbound.id.is_empty()).then(|| notice::of_inbound(&inbound, dead, now_ms))
        }
        Some("turn") => {
            let turn = Turn::decode(payload).ok()?;
            (!turn.id.is_empty())
                .then(|| notice::of_turn(&turn, dead, now_ms))
                .flatten()
        }
        Some("out") => {
            let outbound = Outbound::decode(payload).ok()?;
            (!outbound.id.is_empty()).then(|| notice::of_outbound(&outbound, dead, now_ms))
        }
        _ => None,
    }
}

/// Where to go on in a stream that stands as in `state`, when letters were seen to up to `seen`.
fn resume(seen: Position, state: &StreamState) -> Position {
    match seen.stream_created_ms == state.created_ms && seen.sequence <= state.last {
        true => seen,
        false => Position {
            stream_created_ms: state.created_ms,
            sequence: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_nobodys() {
        let burial = |subject: &str, payload: &'static [u8]| Burial {
            sequence: 1,
            subject: subject.into(),
            at_ms: 1,
            reason: "undecodable".into(),
            payload: payload.into(),
        };
        for (subject, payload) in [
            ("in.0.n.telegram.ab", &b"\xff\xff"[..]),
            ("turn.0.n.main.ab", b""),
            ("out.telegram.main.n.ab", b""),
            ("later.due.h.in", b""),
        ] {
            assert_eq!(farewell(&burial(subject, payload), 1), None, "{subject}");
        }
    }
}
