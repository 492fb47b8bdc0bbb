//! Sessions as lists show them: chosen, counted and read in one snapshot.

use prost::Message;
use proto::v1::{RowsReply, RowsRequest, SessionName, SessionRow};
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};

use super::{
    Reader,
    read::{MAX_REPLY_BYTES, limit},
    write::unsigned,
};
use crate::Error;

/// A session with what its lines tell: its first words, its last ones, and how its last answer ended.
///
/// An answer of the gateway itself, to a command, is no answer of an agent.
const COLUMNS: &str = "
    SELECT s.agent, s.session_key, s.session_id, s.created_ms, s.updated_at_ms, s.interacted_ms,
           s.lines - s.hidden AS lines, s.input_tokens, s.output_tokens, s.cost_micro_usd, s.model, s.title,
           (SELECT substr(text, 1, 200) FROM lines AS l WHERE l.agent = s.agent AND l.session_key = s.session_key
            AND l.id >= s.first_line AND l.role = 'user' ORDER BY l.id LIMIT 1) AS first_text,
           (SELECT substr(text, 1, 200) FROM lines AS l WHERE l.agent = s.agent AND l.session_key = s.session_key
            AND l.id >= s.first_line AND l.role <> 'system' ORDER BY l.id DESC LIMIT 1) AS last_text,
           e.provider, e.stop_reason, e.role = 'system' AND e.stop_reason <> 'aborted' AS failed
    FROM sessions AS s LEFT JOIN lines AS e ON e.id =
           (SELECT l.id FROM lines AS l WHERE l.agent = s.agent AND l.session_key = s.session_key
            AND l.id >= s.first_line AND l.role <> 'user' AND l.provider <> 'gateway' ORDER BY l.id DESC LIMIT 1)
    WHERE s.removed = 0";

/// A key as clients spell it, see [`proto::session::to_client`].
const SPELLED: &str = "
    'agent:' || s.agent || ':' || CASE WHEN s.session_key = 'webchat:main' THEN 'main'
    WHEN s.session_key GLOB 'webchat:dm:*' THEN substr(s.session_key, 12) ELSE s.session_key END";

impl Reader {
    /// The sessions that `asked` chooses, as many as fit into one message.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rows(&self, asked: &RowsRequest) -> Result<RowsReply, Error> {
        // One snapshot: rows and their total belong together while the writer goes on.
        let mut snapshot = self.pool.begin().await?;
        let mut count = QueryBuilder::new("SELECT count(*) FROM sessions AS s WHERE s.removed = 0");
        choose(&mut count, asked);
        let total: i64 = count
            .build_query_scalar()
            .persistent(false)
            .fetch_one(&mut *snapshot)
            .await?;
        let mut select = QueryBuilder::new(COLUMNS);
        choose(&mut select, asked);
        select.push(match asked.by_interaction {
            true => " ORDER BY s.interacted_ms DESC, s.agent, s.session_key LIMIT ",
            false => " ORDER BY s.updated_at_ms DESC, s.agent, s.session_key LIMIT ",
        });
        select.push_bind(limit(asked.limit)).push(" OFFSET ");
        select.push_bind(asked.offset);
        let rows = select
            .build()
            .persistent(false)
            .fetch_all(&mut *snapshot)
            .await?;
        let mut reply = RowsReply {
            total: unsigned(total),
            ..RowsReply::default()
        };
        let mut bytes = 0;
        for row in &rows {
            let row = to_row(row)?;
            bytes += row.encoded_len() + 4;
            if bytes > MAX_REPLY_BYTES {
                break;
            }
            reply.rows.push(row);
        }
        Ok(reply)
    }
}

/// Adds the conditions of `asked`.
fn choose(query: &mut QueryBuilder<Sqlite>, asked: &RowsRequest) {
    if !asked.only.is_empty() {
        query.push(" AND ");
        among(query, &asked.only);
    }
    if asked.interacted {
        query.push(" AND s.interacted_ms > 0");
    }
    if !asked.agents.is_empty() {
        query.push(" AND s.agent IN (");
        let mut agents = query.separated(", ");
        for agent in &asked.agents {
            agents.push_bind(agent.clone());
        }
        query.push(")");
    }
    if asked.since_ms > 0 {
        query.push(" AND s.updated_at_ms >= ");
        query.push_bind(asked.since_ms);
    }
    if asked.without_cron {
        query.push(" AND s.session_key NOT GLOB 'cron:*'");
    }
    if !asked.without.is_empty() {
        query.push(" AND NOT ");
        among(query, &asked.without);
    }
    if !asked.search.is_empty() {
        let wanted = asked.search.to_lowercase();
        query.push(format!(" AND (instr(lower({SPELLED}), "));
        query
            .push_bind(wanted.clone())
            .push(") OR instr(lower(s.title), ");
        query.push_bind(wanted.clone()).push(") OR s.session_id = ");
        query.push_bind(wanted);
        if !asked.found.is_empty() {
            query.push(" OR ");
            among(query, &asked.found);
        }
        query.push(")");
    }
}

fn among(query: &mut QueryBuilder<Sqlite>, names: &[SessionName]) {
    query.push("(s.agent, s.session_key) IN (VALUES ");
    for (n, name) in names.iter().enumerate() {
        query.push(if n == 0 { "(" } else { ", (" });
        query.push_bind(name.agent.clone()).push(", ");
        query.push_bind(name.session_key.clone()).push(")");
    }
    query.push(")");
}

fn to_row(row: &SqliteRow) -> Result<SessionRow, sqlx::Error> {
    let text = |name: &str| {
        let text = row.try_get::<Option<String>, _>(name)?;
        Ok::<_, sqlx::Error>(text.unwrap_or_default())
    };
    Ok(SessionRow {
        agent: row.try_get("agent")?,
        session_key: row.try_get("session_key")?,
        session_id: row.try_get("session_id")?,
        created_at_ms: row.try_get("created_ms")?,
        updated_at_ms: row.try_get("updated_at_ms")?,
        interacted_at_ms: row.try_get("interacted_ms")?,
        lines: unsigned(row.try_get("lines")?),
        input_tokens: unsigned(row.try_get("input_tokens")?),
        output_tokens: unsigned(row.try_get("output_tokens")?),
        cost_micro_usd: unsigned(row.try_get("cost_micro_usd")?),
        provider: text("provider")?,
        model: row.try_get("model")?,
        title: row.try_get("title")?,
        first_text: text("first_text")?,
        last_text: text("last_text")?,
        last_end: text("stop_reason")?,
        failed: row
            .try_get::<Option<bool>, _>("failed")?
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
