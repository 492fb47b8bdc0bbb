//! What sessions used, by day and model.

use prost::Message;
use proto::v1::{UsageCell, UsageReply, UsageRequest};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{Reader, read::MAX_REPLY_BYTES, write::unsigned};
use crate::Error;

/// Lines are written about in the order of their times: so much later, none is older.
const SLACK_MS: i64 = 24 * 60 * 60 * 1000;

const CELLS: &str = "
    SELECT agent, session_key, day, provider, model, sum(role = 'user') AS users, sum(role = 'assistant') AS assistants,
           sum(role = 'system' AND stop_reason NOT IN ('reset', 'aborted')) AS failures,
           sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cost_micro_usd) AS cost,
           min(at_ms) AS first, max(at_ms) AS last
    FROM (SELECT *, (at_ms + ";

impl Reader {
    /// What was used, the newest days first, as much as fits into one message.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn usage(&self, asked: &UsageRequest) -> Result<UsageReply, Error> {
        let mut snapshot = self.pool.begin().await?;
        let first = first_line_at(&mut snapshot, asked.from_ms.saturating_sub(SLACK_MS)).await?;
        let mut select = QueryBuilder::<Sqlite>::new(CELLS);
        select
            .push_bind(i64::from(asked.utc_offset_min) * 60_000)
            .push(") / 86400000 AS day FROM lines WHERE id >= ");
        select.push_bind(first);
        if asked.from_ms > 0 {
            select.push(" AND at_ms >= ").push_bind(asked.from_ms);
        }
        if asked.before_ms > 0 {
            select.push(" AND at_ms < ").push_bind(asked.before_ms);
        }
        if !asked.agent.is_empty() {
            select.push(" AND agent = ").push_bind(&asked.agent);
        }
        if !asked.session_key.is_empty() {
            select.push(" AND session_key = ");
            select.push_bind(&asked.session_key);
        }
        select.push(
            ") GROUP BY agent, session_key, day, provider, model ORDER BY day DESC, last DESC",
        );
        let rows = select
            .build()
            .persistent(false)
            .fetch_all(&mut *snapshot)
            .await?;
        let (mut reply, mut bytes) = (UsageReply::default(), 0);
        for row in &rows {
            let cell = to_cell(row)?;
            bytes += cell.encoded_len() + 4;
            if bytes > MAX_REPLY_BYTES {
                reply.truncated = true;
                break;
            }
            reply.cells.push(cell);
        }
        Ok(reply)
    }
}

/// Id of about the first line that is not older than `from_ms`, found by halving: times grow with ids, more or less.
async fn first_line_at(snapshot: &mut SqliteConnection, from_ms: i64) -> Result<i64, Error> {
    let ends = sqlx::query("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM lines")
        .fetch_one(&mut *snapshot)
        .await?;
    let (mut low, mut high): (i64, i64) = (ends.try_get(0)?, ends.try_get(1)?);
    while low < high {
        let middle = low + (high - low) / 2;
        let line: Option<(i64, i64)> =
            sqlx::query_as("SELECT id, at_ms FROM lines WHERE id >= ? ORDER BY id LIMIT 1")
                .bind(middle)
                .fetch_optional(&mut *snapshot)
                .await?;
        match line {
            Some((id, at_ms)) if at_ms < from_ms => low = id + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

fn to_cell(row: &SqliteRow) -> Result<UsageCell, sqlx::Error> {
    let number = |name: &str| Ok::<_, sqlx::Error>(unsigned(row.try_get(name)?));
    Ok(UsageCell {
        agent: row.try_get("agent")?,
        session_key: row.try_get("session_key")?,
        day: i32::try_from(row.try_get::<i64, _>("day")?).unwrap_or_default(),
        provider: row.try_get("provider")?,
        model: row.try_get("model")?,
        user_lines: number("users")?,
        assistant_lines: number("assistants")?,
        failures: number("failures")?,
        input_tokens: number("input")?,
        output_tokens: number("output")?,
        cost_micro_usd: number("cost")?,
        first_at_ms: row.try_get("first")?,
        last_at_ms: row.try_get("last")?,
    })
}
