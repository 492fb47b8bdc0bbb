//! How one turn ended, for who waits for it or asks for it twice.

use proto::v1::{Event, OutcomeReply, event::What};

use super::{Reader, read::MAX_TEXT_BYTES, trace};
use crate::Error;

impl Reader {
    /// How the turn `turn_id` ended, as far as it is written down. A text that is too large for one message is cut.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn outcome(&self, turn_id: &str) -> Result<OutcomeReply, Error> {
        let rows = sqlx::query(trace::OF_TURN)
            .bind(turn_id)
            .fetch_all(&self.pool)
            .await?;
        let events = trace::events(rows)?;
        let known = !events.is_empty();
        Ok(OutcomeReply {
            known,
            end: end(events),
        })
    }
}

/// The event that ends a turn. What the agent said counts more than that its delivery came to nothing, or that a
/// repetition was refused.
fn end(events: Vec<Event>) -> Option<Event> {
    let rank = |event: &Event| match event.what.as_ref()? {
        What::Answered(_) | What::Failed(_) | What::Aborted(_) => Some(0),
        What::Dead(dead) if dead.outbound_id.is_empty() => Some(1),
        What::Refused(_) => Some(2),
        _ => None,
    };
    let ends = events
        .into_iter()
        .filter_map(|event| Some((rank(&event)?, event)));
    let (_, mut event) = ends.min_by_key(|(rank, _)| *rank)?;
    let text = match &mut event.what {
        Some(What::Answered(answered)) => &mut answered.text,
        Some(What::Aborted(aborted)) => &mut aborted.partial_text,
        _ => return Some(event),
    };
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    Some(event)
}

#[cfg(test)]
mod tests {
    use proto::v1::{Accepted, Answered, Dead, Refused};

    use super::*;

    fn event(what: What) -> Event {
        Event {
            turn_id: "t".into(),
            what: Some(what),
            ..Event::default()
        }
    }

    #[test]
    fn an_answer_is_the_end_whatever_became_of_its_delivery() {
        let answered = event(What::Answered(Answered {
            text: "é".repeat(MAX_TEXT_BYTES),
            ..Answered::default()
        }));
        let undelivered = event(What::Dead(Dead {
            outbound_id: "t-0".into(),
            ..Dead::default()
        }));
        let again = event(What::Refused(Refused::default()));
        let accepted = event(What::Accepted(Accepted::default()));
        assert_eq!(end(vec![accepted.clone(), undelivered.clone()]), None);
        let found = end(vec![accepted, again.clone(), answered, undelivered]).unwrap();
        let Some(What::Answered(answered)) = found.what else {
            panic!("{found:?}")
        };
        assert_eq!(answered.text.len(), MAX_TEXT_BYTES);
        assert_eq!(end(vec![again.clone()]), Some(again));
    }
}
