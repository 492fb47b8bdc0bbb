//! Notes for an agent's main session: kept until its next heartbeat, or told at once.

use bus::{Bucket, Bus};
use chassis::clock::now_ms;
use proto::{
    session,
    v1::{Note, Notes, Sender},
};
use uuid::Uuid;

use super::heartbeat;
use crate::{gateway::Gateway, refusal::Refusal, turns};

/// Notes that wait for one agent; the oldest goes first.
const MOST: usize = 20;
/// Longest note, in bytes.
const MAX_BYTES: usize = 4096;
/// How often a change is tried anew after somebody else was faster.
const TRIES: usize = 20;

/// The notes that wait for `agent`, the oldest first.
///
/// # Errors
/// As [`bus::Store::get`].
pub(super) async fn waiting(bus: &Bus, agent: &str) -> Result<Vec<Note>, bus::Error> {
    let kept = bus
        .bucket(Bucket::Heartbeats)
        .get::<Notes>(&key(agent))
        .await?;
    Ok(kept.map(|(notes, _)| notes.notes).unwrap_or_default())
}

/// Leaves a note for the next heartbeat of `agent`. Under an `id` that waits already nothing is left.
///
/// # Errors
/// When the bus is away.
pub(crate) async fn leave(bus: &Bus, agent: &str, id: &str, text: &str) -> Result<(), bus::Error> {
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    change(bus, agent, |notes| {
        if notes.iter().any(|note| note.id == id) {
            return;
        }
        let surplus = (notes.len() + 1).saturating_sub(MOST);
        notes.drain(..surplus);
        notes.push(Note {
            id: id.to_owned(),
            text: text.to_owned(),
            at_ms: now_ms(),
        });
    })
    .await
}

/// Forgets notes that were told.
///
/// # Errors
/// As [`leave`].
pub(super) async fn told(bus: &Bus, agent: &str, ids: &[String]) -> Result<(), bus::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    change(bus, agent, |notes| {
        notes.retain(|note| !ids.contains(&note.id))
    })
    .await
}

/// Has the main session of `agent` hear `text`: now, or with its next heartbeat. Where heartbeats are off it would wait
/// for ever, and is told now.
///
/// # Errors
/// [`Refusal::Busy`] when the bus is away: nothing may have been told.
pub(crate) async fn wake(
    gateway: &Gateway,
    agent: &str,
    text: &str,
    now: bool,
) -> Result<(), Refusal> {
    let id = Uuid::new_v4().to_string();
    if !now && heartbeat::is_on(gateway, agent).await? {
        return Ok(leave(&gateway.bus, agent, &id, text).await?);
    }
    let notes = waiting(&gateway.bus, agent).await?;
    let ask = turns::Ask {
        run_id: format!("wake:{id}"),
        agent: agent.to_owned(),
        session_key: session::Key::main().to_string(),
        text: prompt(&notes, "system event", text),
        literal: true,
        sender: Sender {
            id: "system".into(),
            display_name: "System".into(),
            ..Sender::default()
        },
        ..turns::Ask::default()
    };
    turns::begin(gateway, &ask).await?;
    let ids: Vec<_> = notes.into_iter().map(|note| note.id).collect();
    Ok(told(&gateway.bus, agent, &ids).await?)
}

/// What an agent is told: `text`, under who says it, after the notes that waited.
pub(super) fn prompt(notes: &[Note], from: &str, text: &str) -> String {
    let mut prompt = String::new();
    for note in notes {
        let at = jiff::Timestamp::from_millisecond(note.at_ms).unwrap_or_default();
        let at = at.strftime("%Y-%m-%d %H:%M UTC");
        prompt.push_str(&format!("[note, {at}] {}\n", note.text));
    }
    prompt + &format!("[{from}] {text}")
}

async fn change(bus: &Bus, agent: &str, change: impl Fn(&mut Vec<Note>)) -> Result<(), bus::Error> {
    let (bucket, key) = (bus.bucket(Bucket::Heartbeats), key(agent));
    for _ in 0..TRIES {
        let (mut notes, revision) = bucket.get::<Notes>(&key).await?.unwrap_or_default();
        change(&mut notes.notes);
        let stored = match revision {
            0 => bucket.create(&key, &notes).await?,
            revision => bucket.update(&key, &notes, revision).await?,
        };
        if stored.is_some() {
            return Ok(());
        }
    }
    let why = "the notes are being changed by others; try again";
    Err(bus::Error::Refused(why.into()))
}

fn key(agent: &str) -> String {
    format!("notes.{}", proto::id::of_session(agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_hears_what_waited_before_what_is_new() {
        let note = Note {
            text: "the oven is on".into(),
            ..Note::default()
        };
        assert_eq!(
            prompt(&[note], "cron: tea", "drink it"),
            "[note, 1970-01-01 00:00 UTC] the oven is on\n[cron: tea] drink it"
        );
        assert_eq!(prompt(&[], "heartbeat", "look"), "[heartbeat] look");
    }
}
