//! What becomes of a session's lines when it begins anew, is removed or is compacted.

use prost::Message;
use proto::v1::{Compacted, Event, Inbound, Removed, event::What, inbound::Body};
use sqlx::{Row, SqliteTransaction};

use super::write::signed;

/// Whether `event` changes what counts of the lines before it.
pub(super) fn changes_lines(event: &Event) -> bool {
    matches!(
        event.what,
        Some(What::Reset(_) | What::Removed(_) | What::Compacted(_))
    )
}

/// Does what `event` says to the lines that are written so far; nothing for any other event.
pub(super) async fn apply(
    transaction: &mut SqliteTransaction<'_>,
    event: &Event,
) -> Result<(), sqlx::Error> {
    match &event.what {
        Some(What::Reset(_)) => hide_all(transaction, event).await,
        Some(What::Compacted(Compacted { keep })) => compact(transaction, event, *keep).await,
        Some(What::Removed(Removed { erase })) => remove(transaction, event, *erase).await,
        _ => Ok(()),
    }
}

async fn hide_all(
    transaction: &mut SqliteTransaction<'_>,
    event: &Event,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE sessions SET hidden = lines, first_line = 1 + (SELECT coalesce(max(id), 0) FROM lines)
         WHERE agent = ? AND session_key = ?",
    )
    .bind(&event.agent)
    .bind(&event.session_key)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// Hides all but the newest `keep` lines. What counted before and is hidden now stays in the file.
async fn compact(
    transaction: &mut SqliteTransaction<'_>,
    event: &Event,
    keep: u32,
) -> Result<(), sqlx::Error> {
    let first: Option<i64> = sqlx::query_scalar(
        "SELECT l.id FROM lines AS l JOIN sessions AS s ON s.agent = l.agent AND s.session_key = l.session_key
         WHERE l.agent = ? AND l.session_key = ? AND l.id >= s.first_line
         ORDER BY l.id DESC LIMIT 1 OFFSET ?",
    )
    .bind(&event.agent)
    .bind(&event.session_key)
    .bind(signed(u64::from(keep.max(1)) - 1))
    .fetch_optional(&mut **transaction)
    .await?;
    let Some(first) = first else {
        return Ok(());
    };
    sqlx::query(
        "UPDATE sessions SET hidden = max(hidden, lines - ?), first_line = ? WHERE agent = ? AND session_key = ?",
    )
    .bind(i64::from(keep.max(1)))
    .bind(first)
    .bind(&event.agent)
    .bind(&event.session_key)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

async fn remove(
    transaction: &mut SqliteTransaction<'_>,
    event: &Event,
    erase: bool,
) -> Result<(), sqlx::Error> {
    if !erase {
        hide_all(transaction, event).await?;
        return sqlx::query(
            "UPDATE sessions SET removed = 1, created_ms = 0, interacted_ms = 0, input_tokens = 0, output_tokens = 0,
                    model = '', session_id = ''
             WHERE agent = ? AND session_key = ?",
        )
        .bind(&event.agent)
        .bind(&event.session_key)
        .execute(&mut **transaction)
        .await
        .map(drop);
    }
    for table in [
        "DELETE FROM lines WHERE agent = ? AND session_key = ?",
        "DELETE FROM sessions WHERE agent = ? AND session_key = ?",
    ] {
        sqlx::query(table)
            .bind(&event.agent)
            .bind(&event.session_key)
            .execute(&mut **transaction)
            .await?;
    }
    erase_words(transaction, event).await
}

/// Takes the words out of the session's events. The events stay: one that came again would bring its words back.
async fn erase_words(
    transaction: &mut SqliteTransaction<'_>,
    event: &Event,
) -> Result<(), sqlx::Error> {
    // Every message goes by the name of its session, too; the index by turn then leads to its events.
    let turns: Vec<String> = sqlx::query_scalar("SELECT turn_id FROM names WHERE name = ?")
        .bind(&event.session_key)
        .fetch_all(&mut **transaction)
        .await?;
    for turn_id in turns {
        let rows = sqlx::query("SELECT rowid, event FROM events WHERE turn_id = ? AND agent = ?")
            .bind(turn_id)
            .bind(&event.agent)
            .fetch_all(&mut **transaction)
            .await?;
        for row in &rows {
            let mut told = Event::decode(row.try_get::<&[u8], _>(1)?).unwrap_or_default();
            if take_words(&mut told) {
                sqlx::query("UPDATE events SET event = ? WHERE rowid = ?")
                    .bind(told.encode_to_vec())
                    .bind(row.try_get::<i64, _>(0)?)
                    .execute(&mut **transaction)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Takes out of `event` what people and agents said; false where it said nothing.
fn take_words(event: &mut Event) -> bool {
    match &mut event.what {
        Some(What::Accepted(accepted)) => {
            accepted.text.clear();
            if let Some(inbound) = &mut accepted.inbound {
                silence(inbound);
            }
        }
        Some(What::Answered(answered)) => answered.text.clear(),
        Some(What::Aborted(aborted)) => aborted.partial_text.clear(),
        _ => return false,
    }
    true
}

/// Leaves of an inbound where it came from and when, and nothing of what it holds.
fn silence(inbound: &mut Inbound) {
    inbound.raw.clear();
    match &mut inbound.body {
        Some(Body::Said(said)) => {
            said.parts.clear();
            said.quoted_text.clear();
        }
        Some(Body::Edited(edited)) => edited.now = None,
        Some(Body::Pressed(pressed)) => pressed.data.clear(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Accepted, Answered, Part, Said};

    use super::*;

    #[test]
    fn no_word_is_left_and_the_way_still_is() {
        let part = Part {
            text: "secret".into(),
            ..Part::default()
        };
        let inbound = Inbound {
            id: "i".into(),
            raw: b"secret".to_vec(),
            body: Some(Body::Said(Said {
                message_id: "7".into(),
                quoted_text: "secret".into(),
                parts: vec![part],
                ..Said::default()
            })),
            ..Inbound::default()
        };
        let accepted = Accepted {
            inbound: Some(inbound),
            text: "secret".into(),
            ..Accepted::default()
        };
        let answered = Answered {
            text: "secret".into(),
            model: "m".into(),
            ..Answered::default()
        };
        for what in [What::Accepted(accepted), What::Answered(answered)] {
            let mut event = Event {
                turn_id: "t".into(),
                what: Some(what),
                ..Event::default()
            };
            assert!(take_words(&mut event));
            assert!(!format!("{event:?}").contains("secret"));
            assert_eq!(event.turn_id, "t");
        }
    }
}
