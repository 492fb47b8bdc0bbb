//! The readers: transcripts and the list of sessions, as asked over the bus.

use futures_util::TryStreamExt;
use prost::Message;
use proto::v1::{HistoryReply, HistoryRequest, Line, SessionLine, SessionsReply, SessionsRequest};
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::write::{signed, unsigned};
use crate::Error;

/// How many rows are answered when the question names no number.
const USUAL_ROWS: u32 = 200;
/// How many rows one answer holds at most.
const MAX_ROWS: u32 = 1000;
/// How large one answer may become: below the payload limit of a NATS server that was not configured, 1 MiB.
pub(super) const MAX_REPLY_BYTES: usize = 900 * 1024;
/// What of one line's text is answered, so that there is always room for a line; the file keeps it whole.
pub(super) const MAX_TEXT_BYTES: usize = 256 * 1024;

pub(super) const HISTORY: &str = "
    SELECT id, role, text, at_ms, turn_id, sender, provider, model, input_tokens, output_tokens, cost_micro_usd,
           stop_reason, attachments
    FROM lines
    WHERE agent = ?1 AND session_key = ?2 AND id < ?3 AND at_ms >= ?4 AND id > ?5
    ORDER BY id DESC LIMIT ?6";

/// The same from its other end: the oldest lines after one.
pub(super) const HISTORY_AFTER: &str = "
    SELECT id, role, text, at_ms, turn_id, sender, provider, model, input_tokens, output_tokens, cost_micro_usd,
           stop_reason, attachments
    FROM lines
    WHERE agent = ?1 AND session_key = ?2 AND id < ?3 AND at_ms >= ?4 AND id > ?5
    ORDER BY id LIMIT ?6";

const TOTAL: &str = "
    SELECT lines - hidden, session_id, first_line FROM sessions WHERE agent = ?1 AND session_key = ?2";

pub(super) const SESSIONS: &str = "
    SELECT agent, session_key, session_id, updated_at_ms, lines, input_tokens, output_tokens, model
    FROM sessions WHERE removed = 0 ORDER BY updated_at_ms DESC LIMIT ?1";

/// Answers questions about what was written down; clones share their connections.
#[derive(Clone)]
pub struct Reader {
    pub(super) pool: SqlitePool,
}

impl Reader {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    /// The newest lines that `asked` allows, oldest first, as many as fit into one message.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn history(&self, asked: &HistoryRequest) -> Result<HistoryReply, Error> {
        let before = if asked.before == 0 {
            i64::MAX
        } else {
            signed(asked.before)
        };
        // One snapshot: lines and their total belong together while the writer goes on.
        let mut snapshot = self.pool.begin().await?;
        let session = sqlx::query(TOTAL)
            .bind(&asked.agent)
            .bind(&asked.session_key)
            .fetch_optional(&mut *snapshot)
            .await?;
        let (total, session_id, first_line) = match session {
            Some(row) => (unsigned(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?),
            None => (0, String::new(), 0_i64),
        };
        let newest = asked.after == 0;
        let mut rows = sqlx::query(if newest { HISTORY } else { HISTORY_AFTER })
            .bind(&asked.agent)
            .bind(&asked.session_key)
            .bind(before)
            .bind(asked.since_ms)
            .bind(signed(asked.after).max(first_line - 1))
            .bind(limit(asked.limit))
            .fetch(&mut *snapshot);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            let line = to_line(&row)?;
            bytes += line.encoded_len();
            if bytes > MAX_REPLY_BYTES {
                break;
            }
            lines.push(line);
        }
        drop(rows);
        if newest {
            lines.reverse();
        }
        Ok(HistoryReply {
            lines,
            total,
            session_id,
        })
    }

    /// The sessions, the one used last first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn sessions(&self, asked: &SessionsRequest) -> Result<SessionsReply, Error> {
        let rows = sqlx::query(SESSIONS)
            .bind(limit(asked.limit))
            .fetch_all(&self.pool)
            .await?;
        let sessions = rows.iter().map(to_session).collect::<Result<_, _>>()?;
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions WHERE removed = 0")
            .fetch_one(&self.pool)
            .await?;
        Ok(SessionsReply {
            sessions,
            total: unsigned(total),
        })
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

pub(super) fn limit(asked: u32) -> u32 {
    match asked {
        0 => USUAL_ROWS,
        asked => asked.min(MAX_ROWS),
    }
}

fn to_line(row: &SqliteRow) -> Result<Line, sqlx::Error> {
    let mut text: String = row.try_get("text")?;
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    let attachments = Line::decode(row.try_get::<&[u8], _>("attachments")?)
        .unwrap_or_default()
        .attachments;
    Ok(Line {
        id: unsigned(row.try_get("id")?),
        role: row.try_get("role")?,
        text,
        at_ms: row.try_get("at_ms")?,
        turn_id: row.try_get("turn_id")?,
        provider: row.try_get("provider")?,
        model: row.try_get("model")?,
        input_tokens: unsigned(row.try_get("input_tokens")?),
        output_tokens: unsigned(row.try_get("output_tokens")?),
        cost_micro_usd: unsigned(row.try_get("cost_micro_usd")?),
        stop_reason: row.try_get("stop_reason")?,
        attachments,
        sender: row.try_get("sender")?,
    })
}

fn to_session(row: &SqliteRow) -> Result<SessionLine, sqlx::Error> {
    Ok(SessionLine {
        agent: row.try_get("agent")?,
        session_key: row.try_get("session_key")?,
        session_id: row.try_get("session_id")?,
        updated_at_ms: row.try_get("updated_at_ms")?,
        lines: unsigned(row.try_get("lines")?),
        input_tokens: unsigned(row.try_get("input_tokens")?),
        output_tokens: unsigned(row.try_get("output_tokens")?),
        model: row.try_get("model")?,
        ..SessionLine::default()
    })
}
