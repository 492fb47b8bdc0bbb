//! The one writer: each batch of events and how far the stream was read, in one transaction.

use std::collections::{HashMap, HashSet};

use prost::Message;
use proto::{
    subject,
    v1::{Event, Line},
};
use sqlx::{
    Connection, QueryBuilder, Row, Sqlite, SqliteConnection, SqliteTransaction, sqlite::SqliteRow,
};

use super::{journeys, managed};
use crate::{Error, transcript};

/// How many of the oldest rows are looked at in one transaction when old ones are forgotten.
const SLICE: i64 = 500;

/// How far the stream has been written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// When the stream was made: another time means another stream under the same name.
    pub stream_created_ms: i64,
    /// Sequence of the last event written down; 0 before the first.
    pub sequence: u64,
}

/// Writes events down.
pub struct Writer {
    connection: SqliteConnection,
}

/// What one batch adds to a session.
#[derive(Default)]
struct Growth<'a> {
    session_id: &'a str,
    updated_at_ms: i64,
    lines: i64,
    input_tokens: i64,
    output_tokens: i64,
    cost_micro_usd: i64,
    model: String,
    interacted_ms: i64,
    title: &'a str,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { connection }
    }

    /// How far the stream has been written down.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn position(&mut self) -> Result<Position, Error> {
        let row = sqlx::query("SELECT stream_created_ms, sequence FROM position")
            .fetch_optional(&mut self.connection)
            .await?;
        row.map_or(Ok(Position::default()), |row| {
            Ok(Position {
                stream_created_ms: row.try_get(0)?,
                sequence: unsigned(row.try_get(1)?),
            })
        })
    }

    /// Writes `events`, the stream's up to `position`, all or none. Those known already are left as they are.
    ///
    /// At most 2000 events at a time: each takes up to 14 of SQLite's 32766 variables.
    ///
    /// # Errors
    /// [`Error::Database`]: nothing was written, and the same call may be repeated.
    pub async fn apply(&mut self, events: &[Event], position: Position) -> Result<(), Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut new = insert_events(&mut transaction, events).await?;
        // An event that stands in the batch twice is new once.
        let new: Vec<&Event> = events
            .iter()
            .filter(|event| new.remove(&event.id))
            .collect();
        journeys::add(&mut transaction, &new).await?;
        for run in new.split_inclusive(|event| managed::changes_lines(event)) {
            let lines: Vec<(&Event, Line)> = run
                .iter()
                .filter_map(|event| Some((*event, transcript::line(event)?)))
                .collect();
            if !lines.is_empty() {
                insert_lines(&mut transaction, &lines).await?;
                grow_sessions(&mut transaction, &lines).await?;
            }
            if let Some(last) = run.last() {
                managed::apply(&mut transaction, last).await?;
            }
        }
        sqlx::query(
            "INSERT INTO position (only, stream_created_ms, sequence) VALUES (1, ?, ?)
             ON CONFLICT (only) DO UPDATE
             SET stream_created_ms = excluded.stream_created_ms, sequence = excluded.sequence",
        )
        .bind(position.stream_created_ms)
        .bind(signed(position.sequence))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets some of what happened before `before_ms`, oldest first; false when nothing that old is left.
    ///
    /// # Errors
    /// [`Error::Database`]: nothing was forgotten by this call.
    pub async fn forget(&mut self, before_ms: i64) -> Result<bool, Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let events = sqlx::query(
            "DELETE FROM events WHERE at_ms < ? AND rowid IN (SELECT rowid FROM events ORDER BY rowid LIMIT ?)
             RETURNING event",
        )
        .bind(before_ms)
        .bind(SLICE)
        .fetch_all(&mut *transaction)
        .await?;
        for row in &events {
            let event = Event::decode(row.try_get::<&[u8], _>(0)?).unwrap_or_default();
            journeys::forget_names(&mut transaction, &event).await?;
        }
        sqlx::query(
            "DELETE FROM journeys WHERE begun_ms < ? AND rowid IN (SELECT rowid FROM journeys ORDER BY rowid LIMIT ?)",
        )
        .bind(before_ms)
        .bind(SLICE)
        .execute(&mut *transaction)
        .await?;
        let lines = sqlx::query(
            "DELETE FROM lines WHERE at_ms < ? AND id IN (SELECT id FROM lines ORDER BY id LIMIT ?)
             RETURNING agent, session_key",
        )
        .bind(before_ms)
        .bind(SLICE)
        .fetch_all(&mut *transaction)
        .await?;
        for line in &lines {
            sqlx::query(
                "UPDATE sessions SET lines = lines - 1, hidden = max(hidden - 1, 0) WHERE agent = ? AND session_key = ?",
            )
            .bind(line.try_get::<&str, _>(0)?)
            .bind(line.try_get::<&str, _>(1)?)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("DELETE FROM sessions WHERE lines <= 0")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(!events.is_empty() || !lines.is_empty())
    }

    /// Closes the file; what is not called is made good by the next opening.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn close(self) -> Result<(), Error> {
        Ok(self.connection.close().await?)
    }
}

/// Returns the ids of those that were not there yet.
async fn insert_events(
    transaction: &mut SqliteTransaction<'_>,
    events: &[Event],
) -> Result<HashSet<String>, sqlx::Error> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let mut insert: QueryBuilder<Sqlite> = QueryBuilder::new(
        "INSERT OR IGNORE INTO events (id, kind, at_ms, agent, session_key, turn_id, event) ",
    );
    insert.push_values(events, |mut row, event| {
        row.push_bind(&event.id)
            .push_bind(subject::kind(event))
            .push_bind(event.at_ms)
            .push_bind(&event.agent);
        row.push_bind(&event.session_key)
            .push_bind(&event.turn_id)
            .push_bind(event.encode_to_vec());
    });
    let rows = insert
        .push(" RETURNING id")
        .build()
        .persistent(false)
        .fetch_all(&mut **transaction)
        .await?;
    rows.iter().map(|row: &SqliteRow| row.try_get(0)).collect()
}

async fn insert_lines(
    transaction: &mut SqliteTransaction<'_>,
    lines: &[(&Event, Line)],
) -> Result<(), sqlx::Error> {
    let mut insert: QueryBuilder<Sqlite> = QueryBuilder::new(
        "INSERT INTO lines (agent, session_key, at_ms, role, text, turn_id, sender, provider, model, \
         input_tokens, output_tokens, cost_micro_usd, stop_reason, attachments) ",
    );
    insert.push_values(lines, |mut row, (event, line)| {
        let attachments = Line {
            attachments: line.attachments.clone(),
            ..Line::default()
        }
        .encode_to_vec();
        row.push_bind(&event.agent)
            .push_bind(&event.session_key)
            .push_bind(line.at_ms)
            .push_bind(&line.role);
        row.push_bind(&line.text)
            .push_bind(&line.turn_id)
            .push_bind(&line.sender)
            .push_bind(&line.provider);
        row.push_bind(&line.model)
            .push_bind(signed(line.input_tokens))
            .push_bind(signed(line.output_tokens));
        row.push_bind(signed(line.cost_micro_usd))
            .push_bind(&line.stop_reason)
            .push_bind(attachments);
    });
    insert
        .build()
        .persistent(false)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

async fn grow_sessions(
    transaction: &mut SqliteTransaction<'_>,
    lines: &[(&Event, Line)],
) -> Result<(), sqlx::Error> {
    let mut sessions: HashMap<(&str, &str), Growth<'_>> = HashMap::new();
    for (event, line) in lines {
        let growth = sessions
            .entry((&event.agent, &event.session_key))
            .or_default();
        growth.lines += 1;
        growth.updated_at_ms = growth.updated_at_ms.max(line.at_ms);
        growth.input_tokens += signed(line.input_tokens);
        growth.output_tokens += signed(line.output_tokens);
        growth.cost_micro_usd += signed(line.cost_micro_usd);
        if line.role == "user" {
            growth.interacted_ms = growth.interacted_ms.max(line.at_ms);
        }
        if !transcript::title(event).is_empty() {
            growth.title = transcript::title(event);
        }
        if !transcript::session_id(event).is_empty() {
            growth.session_id = transcript::session_id(event);
        }
        if !line.model.is_empty() {
            growth.model.clone_from(&line.model);
        }
    }
    let mut insert: QueryBuilder<Sqlite> = QueryBuilder::new(
        "INSERT INTO sessions (agent, session_key, session_id, updated_at_ms, lines, \
         input_tokens, output_tokens, cost_micro_usd, model, created_ms, interacted_ms, title) ",
    );
    insert.push_values(sessions, |mut row, ((agent, session_key), growth)| {
        row.push_bind(agent)
            .push_bind(session_key)
            .push_bind(growth.session_id)
            .push_bind(growth.updated_at_ms);
        row.push_bind(growth.lines)
            .push_bind(growth.input_tokens)
            .push_bind(growth.output_tokens)
            .push_bind(growth.cost_micro_usd);
        row.push_bind(growth.model)
            .push_bind(growth.updated_at_ms)
            .push_bind(growth.interacted_ms)
            .push_bind(growth.title);
    });
    insert.push(
        " ON CONFLICT (agent, session_key) DO UPDATE SET
            session_id = coalesce(nullif(excluded.session_id, ''), session_id),
            updated_at_ms = max(updated_at_ms, excluded.updated_at_ms),
            lines = lines + excluded.lines,
            input_tokens = input_tokens + excluded.input_tokens,
            output_tokens = output_tokens + excluded.output_tokens,
            cost_micro_usd = cost_micro_usd + excluded.cost_micro_usd,
            model = coalesce(nullif(excluded.model, ''), model),
            created_ms = iif(created_ms = 0, excluded.created_ms, created_ms),
            interacted_ms = max(interacted_ms, excluded.interacted_ms),
            title = coalesce(nullif(excluded.title, ''), title),
            removed = 0",
    );
    insert
        .build()
        .persistent(false)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

/// As SQLite holds it; what is too large for that is a mistake of a provider, not of ours.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The inverse of [`signed`].
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
