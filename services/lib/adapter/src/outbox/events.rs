//! What is told of an outbound's fate.

use bus::{Delivery, Outcome};
use chassis::clock::now_ms;
use proto::{
    subject,
    v1::{Dead, Event, Outbound, Sent, Unsure, event::What},
};
use tracing::warn;

use super::{Chunk, Outbox};
use crate::{Adapter, measures, status::Count};

impl<A: Adapter> Outbox<A> {
    pub(super) async fn tell_sent(
        &self,
        chunk: &Chunk<'_>,
        platform_id: &str,
        sending_at_ms: i64,
    ) -> Result<(), bus::Error> {
        let outbound = &chunk.delivery.message;
        let sent = Sent {
            outbound_id: outbound.id.clone(),
            chunk: u32::try_from(chunk.n).unwrap_or(u32::MAX),
            chunks: u32::try_from(chunk.total).unwrap_or(u32::MAX),
            platform_message_id: platform_id.into(),
            to: Some(chunk.to.clone()),
            sending_at_ms,
        };
        self.tell(
            outbound,
            &format!("{}.{}.sent", outbound.id, chunk.n),
            What::Sent(sent),
        )
        .await
    }

    /// Gives an outbound up: told before it is done.
    pub(super) async fn bury(
        &self,
        delivery: &Delivery<Outbound>,
        reason: String,
    ) -> Result<Outcome, bus::Error> {
        let outbound = &delivery.message;
        self.status.count(Count::Failed);
        let dead = Dead {
            subject: delivery.subject.clone(),
            reason: reason.clone(),
            outbound_id: outbound.id.clone(),
        };
        self.tell(outbound, &format!("{}.dead", outbound.id), What::Dead(dead))
            .await?;
        self.progress().remove(&outbound.id);
        Ok(Outcome::Dead(reason))
    }

    pub(super) async fn tell_unsure(&self, chunk: &Chunk<'_>, why: &str) -> Result<(), bus::Error> {
        let outbound = &chunk.delivery.message;
        warn!(message.id = %outbound.id, why, "nobody knows whether `{}` arrived", outbound.id);
        let unsure = Unsure {
            outbound_id: outbound.id.clone(),
            chunk: u32::try_from(chunk.n).unwrap_or(u32::MAX),
            to: Some(chunk.to.clone()),
            why: why.into(),
            chunks: u32::try_from(chunk.total).unwrap_or(u32::MAX),
        };
        self.tell(
            outbound,
            &format!("{}.{}.unsure", outbound.id, chunk.n),
            What::Unsure(unsure),
        )
        .await
    }

    async fn tell(
        &self,
        outbound: &Outbound,
        event_id: &str,
        what: What,
    ) -> Result<(), bus::Error> {
        let turn_id = if outbound.turn_id.is_empty() {
            &outbound.id
        } else {
            &outbound.turn_id
        };
        let event = Event {
            id: event_id.into(),
            at_ms: now_ms(),
            agent: outbound.agent.clone(),
            session_key: outbound.session_key.clone(),
            turn_id: turn_id.clone(),
            what: Some(what),
            ..Event::default()
        };
        let subject = subject::event(&event);
        match &event.what {
            // Every message has one; whoever reads them knows them by their ids.
            Some(What::Sent(_)) => self.bus.record(&subject, event_id, &event).await,
            _ => self.bus.publish(&subject, event_id, &event).await.map(drop),
        }
    }

    pub(super) fn count(&self, chunk: &Chunk<'_>, outcome: &'static str) {
        measures::call(self.account.key(), chunk.action.name(), outcome);
    }
}
