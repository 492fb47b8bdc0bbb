//! Finding the events of messages by what people call them.

use std::collections::HashSet;

use prost::Message;
use proto::v1::{Address, Event, event::What};
use sqlx::{Row, sqlite::SqliteRow};

use super::Reader;
use crate::Error;

/// How many messages are answered when the question names no number.
const USUAL_WALKS: u32 = 20;
/// How many messages one answer holds at most.
const MAX_WALKS: u32 = 200;

/// Events of one turn, in the order of the stream.
pub(super) const OF_TURN: &str = "SELECT event FROM events WHERE turn_id = ? ORDER BY rowid";
/// Messages of one name, newest first; one message may have a name more than once.
pub(super) const BY_NAME: &str =
    "SELECT turn_id FROM names WHERE name = ? ORDER BY at_ms DESC LIMIT ?";
const REPORTS: &str = "
    SELECT events.event FROM names JOIN events ON events.turn_id = names.turn_id
    WHERE names.name = ? AND events.kind = 'delivered' ORDER BY events.rowid";

impl Reader {
    /// The events of each message that `about` may mean, oldest message first, `limit` messages at most.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn journeys(&self, about: &str, limit: u32) -> Result<Vec<Vec<Event>>, Error> {
        let limit = match limit {
            0 => USUAL_WALKS,
            limit => limit.min(MAX_WALKS),
        };
        // The id of an outbound is its turn's with a suffix.
        let turn = about.rsplit_once('-').map_or(about, |(turn, _)| turn);
        let mut ids = vec![about.to_owned()];
        if turn != about {
            ids.push(turn.to_owned());
        }
        let named = sqlx::query(BY_NAME)
            .bind(about)
            .bind(limit.saturating_mul(4));
        for row in named.fetch_all(&self.pool).await? {
            ids.push(row.try_get(0)?);
        }
        let (mut known, mut found) = (HashSet::new(), Vec::new());
        for id in ids {
            if found.len() >= limit as usize {
                break;
            }
            if !known.insert(id.clone()) {
                continue;
            }
            let mut events = events(sqlx::query(OF_TURN).bind(&id).fetch_all(&self.pool).await?)?;
            let is_report = |event: &Event| matches!(event.what, Some(What::Delivered(_)));
            // A report belongs to the message that it is about.
            if events.iter().all(is_report) {
                continue;
            }
            self.add_reports(&mut events).await?;
            found.push(events);
        }
        found.reverse();
        Ok(found)
    }

    /// Adds what the platform told of the messages that were sent.
    async fn add_reports(&self, of: &mut Vec<Event>) -> Result<(), Error> {
        let mut reports = Vec::new();
        for event in of.iter() {
            let Some(What::Sent(sent)) = &event.what else {
                continue;
            };
            if sent.platform_message_id.is_empty() {
                continue;
            }
            let rows = sqlx::query(REPORTS).bind(&sent.platform_message_id);
            let told = events(rows.fetch_all(&self.pool).await?)?;
            reports.extend(told.into_iter().filter(|report| {
                let Some(What::Delivered(delivered)) = &report.what else {
                    return false;
                };
                same_place(delivered.to.as_ref(), sent.to.as_ref())
            }));
        }
        of.extend(reports);
        Ok(())
    }
}

/// Platforms count messages anew in each conversation.
fn same_place(one: Option<&Address>, other: Option<&Address>) -> bool {
    let place = |address: &Address| {
        (
            address.platform.clone(),
            address.account.clone(),
            address.conversation.clone(),
        )
    };
    one.map(place) == other.map(place)
}

pub(super) fn events(rows: Vec<SqliteRow>) -> Result<Vec<Event>, sqlx::Error> {
    rows.iter()
        .map(|row| Ok(Event::decode(row.try_get::<&[u8], _>(0)?).unwrap_or_default()))
        .collect()
}
