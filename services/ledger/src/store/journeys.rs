//! Writing down how far messages have come and what they are called, with the events that say so.

use std::collections::HashMap;

use proto::v1::Event;
use sqlx::{QueryBuilder, Sqlite, SqliteTransaction};

use crate::mark::{self, Mark};

/// Adds what `events`, all of them new, mean for the journeys of their messages.
pub(super) async fn add(
    transaction: &mut SqliteTransaction<'_>,
    events: &[&Event],
) -> Result<(), sqlx::Error> {
    let mut marks: HashMap<&str, (i64, Mark)> = HashMap::new();
    for event in events {
        let Some(mark) = mark::mark(event) else {
            continue;
        };
        let (begun_ms, sum) = marks
            .entry(&event.turn_id)
            .or_insert((event.at_ms, Mark::default()));
        *begun_ms = event.at_ms.min(*begun_ms);
        sum.flags |= mark.flags;
        sum.due_ms = sum.due_ms.max(mark.due_ms);
        sum.slow_ms = sum.slow_ms.max(mark.slow_ms);
    }
    if !marks.is_empty() {
        let mut insert: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT INTO journeys (turn_id, flags, begun_ms, due_ms, slow_ms) ");
        insert.push_values(marks, |mut row, (turn_id, (begun_ms, mark))| {
            row.push_bind(turn_id)
                .push_bind(mark.flags)
                .push_bind(begun_ms)
                .push_bind(mark.due_ms)
                .push_bind(mark.slow_ms);
        });
        insert.push(
            " ON CONFLICT (turn_id) DO UPDATE SET
                flags = flags | excluded.flags,
                begun_ms = min(begun_ms, excluded.begun_ms),
                due_ms = max(due_ms, excluded.due_ms),
                slow_ms = max(slow_ms, excluded.slow_ms)",
        );
        let insert = insert.build().persistent(false);
        insert.execute(&mut **transaction).await?;
    }
    let names = events.iter().flat_map(|event| {
        mark::names(event)
            .into_iter()
            .map(move |name| (name, event))
    });
    let names: Vec<_> = names.collect();
    if !names.is_empty() {
        let mut insert: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT OR IGNORE INTO names (name, at_ms, turn_id) ");
        insert.push_values(names, |mut row, (name, event)| {
            row.push_bind(name)
                .push_bind(event.at_ms)
                .push_bind(&event.turn_id);
        });
        let insert = insert.build().persistent(false);
        insert.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Forgets the names that `event` gave.
pub(super) async fn forget_names(
    transaction: &mut SqliteTransaction<'_>,
    event: &Event,
) -> Result<(), sqlx::Error> {
    for name in mark::names(event) {
        sqlx::query("DELETE FROM names WHERE name = ? AND at_ms = ? AND turn_id = ?")
            .bind(name)
            .bind(event.at_ms)
            .bind(&event.turn_id)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
