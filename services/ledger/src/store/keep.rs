//! What is kept of messages on their way: which are late, who was told, and how far dead letters were seen to.

use prost::Message;
use proto::v1::{Address, Event, event::What};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    Position,
    write::{signed, unsigned},
};
use crate::Error;

/// Conversations looked through to see whether somebody was let in before.
const LOOK_BACK: i64 = 20;
/// Late messages seen to at once; the others are next.
const AT_ONCE: i64 = 100;

// The conditions of the index `journeys_open` stand in both word for word.
pub(super) const OVERDUE: &str = "
    SELECT flags, event FROM journeys JOIN events ON events.id = journeys.turn_id || '.accepted'
    WHERE flags & 16 = 0 AND (flags & 3 = 1 OR flags & 12 = 4) AND due_ms < ? ORDER BY due_ms LIMIT ?";
pub(super) const SLOW: &str = "
    SELECT flags, event FROM journeys JOIN events ON events.id = journeys.turn_id || '.accepted'
    WHERE flags & 16 = 0 AND (flags & 3 = 1 OR flags & 12 = 4) AND flags & 3 = 1 AND slow_ms BETWEEN ? AND ? LIMIT ?";

/// A message without an end.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// As in [`crate::mark`].
    pub(crate) flags: i64,
    /// How it began.
    pub(crate) accepted: Event,
}

/// A connection of its own for what watches over messages.
pub(crate) struct Keeper {
    connection: SqliteConnection,
}

impl Keeper {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { connection }
    }

    /// How far dead letters have been seen to.
    pub(crate) async fn position(&mut self) -> Result<Position, Error> {
        let row = sqlx::query("SELECT stream_created_ms, sequence FROM dead_position")
            .fetch_optional(&mut self.connection)
            .await?;
        row.map_or(Ok(Position::default()), |row| {
            Ok(Position {
                stream_created_ms: row.try_get(0)?,
                sequence: unsigned(row.try_get(1)?),
            })
        })
    }

    /// Notes that dead letters have been seen to so far.
    pub(crate) async fn advance(&mut self, position: Position) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO dead_position (only, stream_created_ms, sequence) VALUES (1, ?, ?)
             ON CONFLICT (only) DO UPDATE
             SET stream_created_ms = excluded.stream_created_ms, sequence = excluded.sequence",
        )
        .bind(position.stream_created_ms)
        .bind(signed(position.sequence))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Messages whose next step was due before `before_ms`, the latest first.
    pub(crate) async fn overdue(&mut self, before_ms: i64) -> Result<Vec<Open>, Error> {
        let rows = sqlx::query(OVERDUE)
            .bind(before_ms)
            .bind(AT_ONCE)
            .fetch_all(&mut self.connection)
            .await?;
        rows.iter().map(open).collect()
    }

    /// Messages whose writers should have been told between these two times that they wait.
    pub(crate) async fn slow(&mut self, from_ms: i64, to_ms: i64) -> Result<Vec<Open>, Error> {
        let rows = sqlx::query(SLOW)
            .bind(from_ms)
            .bind(to_ms)
            .bind(AT_ONCE)
            .fetch_all(&mut self.connection)
            .await?;
        rows.iter().map(open).collect()
    }

    /// The message is looked at again when this is long over.
    pub(crate) async fn postpone(&mut self, turn_id: &str, due_ms: i64) -> Result<(), Error> {
        sqlx::query("UPDATE journeys SET due_ms = max(due_ms, ?) WHERE turn_id = ?")
            .bind(due_ms)
            .bind(turn_id)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Its writer need not be told any more that the message waits.
    pub(crate) async fn told(
        &mut self,
        turn_id: &str,
        place: &str,
        at_ms: i64,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE journeys SET slow_ms = 0 WHERE turn_id = ?")
            .bind(turn_id)
            .execute(&mut self.connection)
            .await?;
        sqlx::query("INSERT OR REPLACE INTO told (place, at_ms) VALUES (?, ?)")
            .bind(place)
            .bind(at_ms)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Whether `place` was told after `since_ms` that a message waits; what is older is forgotten.
    pub(crate) async fn was_told(&mut self, place: &str, since_ms: i64) -> Result<bool, Error> {
        sqlx::query("DELETE FROM told WHERE at_ms < ?")
            .bind(since_ms)
            .execute(&mut self.connection)
            .await?;
        let told = sqlx::query("SELECT 1 FROM told WHERE place = ?")
            .bind(place)
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(told.is_some())
    }

    /// Whether this message was let in.
    pub(crate) async fn was_let_in(&mut self, turn_id: &str) -> Result<bool, Error> {
        let row = sqlx::query("SELECT 1 FROM events WHERE id = ? || '.accepted'")
            .bind(turn_id)
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(row.is_some())
    }

    /// Whether `outbound_id` was sent or given up before, however long ago: the adapters forget that.
    pub(crate) async fn was_settled(&mut self, outbound_id: &str) -> Result<bool, Error> {
        let row = sqlx::query(
            "SELECT 1 FROM events WHERE id IN (?1 || '.0.sent', ?1 || '.0.unsure', ?1 || '.dead')",
        )
        .bind(outbound_id)
        .fetch_optional(&mut self.connection)
        .await?;
        Ok(row.is_some())
    }

    /// Whether something said at `address` was let in lately.
    pub(crate) async fn knows(&mut self, address: &Address) -> Result<bool, Error> {
        let rows = sqlx::query(
            "SELECT event FROM names JOIN events ON events.id = names.turn_id || '.accepted'
             WHERE name = ? ORDER BY names.at_ms DESC LIMIT ?",
        )
        .bind(&address.conversation)
        .bind(LOOK_BACK)
        .fetch_all(&mut self.connection)
        .await?;
        for row in &rows {
            let Ok(event) = Event::decode(row.try_get::<&[u8], _>(0)?) else {
                continue;
            };
            if let Some(What::Accepted(accepted)) = event.what
                && let Some(place) = accepted.inbound.and_then(|inbound| inbound.address)
                && (place.platform, place.account, place.conversation)
                    == (
                        address.platform.clone(),
                        address.account.clone(),
                        address.conversation.clone(),
                    )
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Closes the file.
    pub(crate) async fn close(self) -> Result<(), Error> {
        Ok(self.connection.close().await?)
    }
}

fn open(row: &SqliteRow) -> Result<Open, Error> {
    Ok(Open {
        flags: row.try_get(0)?,
        accepted: Event::decode(row.try_get::<&[u8], _>(1)?).unwrap_or_default(),
    })
}
