//! Which answers are being made, and what is told of them: pure, one state a run.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proto::{
    session,
    v1::{Answered, Delta, DeltaKind, Event, Failed, SessionName, event::What},
    ws,
};
use serde_json::{Value, json};

use crate::{outbox::Worth, recent::Recent};
use chat::Chat;

mod chat;

/// Runs known at once; the one that was quiet longest goes first.
const RUNS: usize = 10_000;
/// A run that says nothing for this long is forgotten.
const SILENCE: Duration = Duration::from_secs(3600);
/// Ended runs, and names of runs, remembered.
const REMEMBERED: usize = 10_000;
/// Pieces are told until a text has this many bytes; the end tells the whole.
const TOLD_BYTES: usize = 512 * 1024;

/// Which answers are being made.
#[derive(Debug)]
pub(crate) struct Runs {
    running: HashMap<String, Run>,
    ended: Recent<String, ()>,
    names: Recent<String, String>,
}

/// One answer.
#[derive(Debug)]
struct Run {
    /// As clients know it.
    id: String,
    agent: String,
    session_key: String,
    /// Counts what was told of it.
    seq: u64,
    text: String,
    /// The text was begun anew and what comes next replaces what was told.
    anew: bool,
    begun: bool,
    touched: Instant,
}

/// What is known of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    Ended,
    Unknown,
}

/// An event to be told to whoever may read.
#[derive(Clone, Debug)]
pub(crate) struct Tale {
    pub(crate) event: Arc<ws::Event>,
    /// Clients of an older protocol do not know it.
    pub(crate) since_protocol: u8,
    pub(crate) worth: Worth,
}

/// A run that can be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// As clients know it.
    pub(crate) id: String,
    /// As the bus knows it.
    pub(crate) turn_id: String,
}

impl Runs {
    /// None.
    pub(crate) fn new() -> Self {
        let (ended, names) = (Recent::new(REMEMBERED), Recent::new(REMEMBERED));
        Self {
            running: HashMap::new(),
            ended,
            names,
        }
    }

    /// A client asked for the run `id`; on the bus it is the turn `turn_id`.
    pub(crate) fn asked(&mut self, turn_id: &str, id: &str, agent: &str, key: &str, now: Instant) {
        self.names.note(turn_id.to_owned(), id.to_owned());
        if self.ended.find(turn_id).is_none() {
            self.run(turn_id, agent, key, now);
        }
    }

    /// It was not begun after all, or began elsewhere.
    pub(crate) fn unasked(&mut self, turn_id: &str) {
        if self.running.get(turn_id).is_some_and(|run| !run.begun) {
            self.running.remove(turn_id);
        }
    }

    /// The bus tells the name of a run that was asked for elsewhere.
    fn named(&mut self, turn_id: &str, id: &str) {
        if !id.is_empty() && self.names.find(turn_id).is_none() {
            self.names.note(turn_id.to_owned(), id.to_owned());
        }
    }

    /// The run of `turn_id` as clients know it.
    pub(crate) fn name<'a>(&'a self, turn_id: &'a str) -> &'a str {
        self.names.find(turn_id).map_or(turn_id, String::as_str)
    }

    /// What is known of the run of `turn_id`.
    pub(crate) fn stage(&self, turn_id: &str) -> Stage {
        if self.running.contains_key(turn_id) {
            Stage::Running
        } else if self.ended.find(turn_id).is_some() {
            Stage::Ended
        } else {
            Stage::Unknown
        }
    }

    /// The runs of a session.
    pub(crate) fn of(&self, agent: &str, session_key: &str) -> Vec<Running> {
        let theirs = self
            .running
            .iter()
            .filter(|(_, run)| run.agent == agent && run.session_key == session_key);
        theirs.map(|(turn_id, run)| running(turn_id, run)).collect()
    }

    /// The sessions in which something runs.
    pub(crate) fn sessions(&self) -> Vec<SessionName> {
        let name = |run: &Run| SessionName {
            agent: run.agent.clone(),
            session_key: run.session_key.clone(),
        };
        self.running.values().map(name).collect()
    }

    /// The run that clients or the bus know as `id`, and the session it belongs to.
    pub(crate) fn find(&self, id: &str) -> Option<(Running, &str, &str)> {
        let found = self.running.get_key_value(id);
        let found = found.or_else(|| self.running.iter().find(|(_, run)| run.id == id));
        found.map(|(turn_id, run)| {
            (
                running(turn_id, run),
                run.agent.as_str(),
                run.session_key.as_str(),
            )
        })
    }

    /// A piece of an answer.
    pub(crate) fn delta(&mut self, delta: &Delta, now: Instant, now_ms: i64) -> Vec<Tale> {
        if self.ended.find(&delta.turn_id).is_some() {
            return Vec::new();
        }
        self.named(&delta.turn_id, &delta.run_id);
        let run = self.run(&delta.turn_id, &delta.agent, &delta.session_key, now);
        let mut tales = Vec::new();
        if !run.begun {
            run.begun = true;
            tales.push(run.tell(Chat::status("starting_model")));
            tales.push(run.life(now_ms, json!({"phase": "start", "startedAt": now_ms})));
        }
        match delta.kind() {
            DeltaKind::Start => {}
            DeltaKind::Restart => {
                run.text.clear();
                run.anew = true;
            }
            DeltaKind::Text if run.text.len() + delta.text.len() > TOLD_BYTES => {}
            DeltaKind::Text => {
                run.text.push_str(&delta.text);
                let text = run.text.clone();
                let piece = if run.anew { &text } else { &delta.text };
                let told = Chat::delta(piece, run.anew, Chat::message(&text, now_ms));
                tales.push(run.tell(told));
                run.anew = false;
            }
        }
        tales
    }

    /// Something happened: an end is told once, whatever is repeated.
    pub(crate) fn happened(&mut self, event: &Event, now: Instant) -> Vec<Tale> {
        self.named(&event.turn_id, &event.run_id);
        let ends = |what: &What| {
            matches!(
                what,
                What::Answered(_)
                    | What::Failed(_)
                    | What::Aborted(_)
                    | What::Dead(_)
                    | What::Refused(_)
            )
        };
        let Some(what) = event.what.as_ref().filter(|what| ends(what)) else {
            return Vec::new();
        };
        let run = self.running.get(&event.turn_id);
        let (known, begun) = (run.is_some(), run.is_some_and(|run| run.begun));
        // Most who are refused never asked here; a repetition is refused while the first one runs.
        if matches!(what, What::Refused(_)) && (!known || begun) {
            return Vec::new();
        }
        // A dead letter may be about a message that was answered, or about no answer at all.
        if let What::Dead(dead) = what
            && (!known || !dead.outbound_id.is_empty())
        {
            return Vec::new();
        }
        if event.turn_id.is_empty() || self.ended.find(&event.turn_id).is_some() {
            return Vec::new();
        }
        let (agent, key) = (event.agent.clone(), event.session_key.clone());
        self.run(&event.turn_id, &agent, &key, now);
        let Some(mut run) = self.running.remove(&event.turn_id) else {
            return Vec::new();
        };
        self.ended.note(event.turn_id.clone(), ());
        run.end(what, event.at_ms)
    }

    /// Forgets runs of which nothing was heard for long.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.running
            .retain(|_, run| now.duration_since(run.touched) < SILENCE);
    }

    fn run(&mut self, turn_id: &str, agent: &str, key: &str, now: Instant) -> &mut Run {
        if self.running.len() >= RUNS && !self.running.contains_key(turn_id) {
            let quiet = self.running.iter().min_by_key(|(_, run)| run.touched);
            let quiet = quiet.map(|(turn_id, _)| turn_id.clone());
            quiet.and_then(|turn_id| self.running.remove(&turn_id));
        }
        let id = self.names.find(turn_id).map_or(turn_id, String::as_str);
        let run = self
            .running
            .entry(turn_id.to_owned())
            .or_insert_with(|| Run {
                id: id.to_owned(),
                agent: agent.to_owned(),
                session_key: key.to_owned(),
                seq: 0,
                text: String::new(),
                anew: false,
                begun: false,
                touched: now,
            });
        run.touched = now;
        run
    }
}

impl Run {
    /// The tales of the end: the agent's life cycle, then what everybody waits for.
    fn end(&mut self, what: &What, at_ms: i64) -> Vec<Tale> {
        let life = |phase: &str| json!({"phase": phase, "endedAt": at_ms});
        match what {
            What::Answered(Answered {
                text, stop_reason, ..
            }) => {
                let message = (!text.is_empty()).then(|| Chat::message(text, at_ms));
                let ended = self.life(at_ms, life("end"));
                vec![ended, self.tell(Chat::last("final", stop_reason, message))]
            }
            What::Aborted(aborted) => {
                let partial = Some(&aborted.partial_text).filter(|text| !text.is_empty());
                let message = partial.map(|text| Chat::message(text, at_ms));
                let ended = self.life(at_ms, life("end"));
                vec![
                    ended,
                    self.tell(Chat::last("aborted", &aborted.why, message)),
                ]
            }
            What::Failed(failed) => {
                let ended = self.life(at_ms, life("error"));
                vec![ended, self.tell(Chat::error(failed))]
            }
            What::Refused(refused) => {
                let message = format!("The message was not taken: {}", refused.reason);
                let failed = Failed {
                    message,
                    kind: "unknown".into(),
                    ..Failed::default()
                };
                vec![
                    self.life(at_ms, life("error")),
                    self.tell(Chat::error(&failed)),
                ]
            }
            _ => {
                let failed = Failed {
                    message: "The message could not be processed and was set aside.".into(),
                    kind: "unknown".into(),
                    ..Failed::default()
                };
                vec![
                    self.life(at_ms, life("error")),
                    self.tell(Chat::error(&failed)),
                ]
            }
        }
    }

    fn tell(&mut self, chat: Chat) -> Tale {
        self.seq += 1;
        let (since_protocol, worth) = (chat.since_protocol(), chat.worth());
        let key = session::to_client(&self.agent, &self.session_key);
        let event = Arc::new(chat.event(&self.id, &key, &self.agent, self.seq));
        Tale {
            event,
            since_protocol,
            worth,
        }
    }

    fn life(&mut self, at_ms: i64, data: Value) -> Tale {
        self.seq += 1;
        let key = session::to_client(&self.agent, &self.session_key);
        let payload = json!({
            "runId": self.id, "sessionKey": key, "agentId": self.agent, "stream": "lifecycle",
            "data": data, "seq": self.seq, "ts": at_ms,
        });
        let event = Arc::new(ws::Event::new("agent", &payload, None));
        Tale {
            event,
            since_protocol: 3,
            worth: Worth::Droppable,
        }
    }
}

fn running(turn_id: &str, run: &Run) -> Running {
    Running {
        id: run.id.clone(),
        turn_id: turn_id.to_owned(),
    }
}

#[cfg(test)]
mod tests;
