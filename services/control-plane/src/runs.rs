//! Which answers are being made, and what is told of them: pure, one state a run.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proto::{
    v1::{Delta, DeltaKind, Event, SessionName, event::What},
    ws,
};
use serde_json::json;
use tokio::sync::watch;

use crate::{outbox::Worth, recent::Recent};
use chat::Chat;
pub(crate) use progress::Progress;
use progress::Watched;
use run::Run;

mod chat;
mod progress;
mod run;

/// Runs known at once; the one that was quiet longest goes first.
const RUNS: usize = 10_000;
/// A run that says nothing for this long is forgotten.
const SILENCE: Duration = Duration::from_secs(3600);
/// Ended runs, and names of runs, remembered.
const REMEMBERED: usize = 10_000;

/// Which answers are being made.
#[derive(Debug)]
pub(crate) struct Runs {
    running: HashMap<String, Run>,
    ended: Recent<String, ()>,
    names: Recent<String, String>,
    watched: Watched,
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
            watched: Watched::default(),
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
        if self.running.get(turn_id).is_some_and(Run::is_only_asked) {
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

    /// How the run of `turn_id` goes on from now; `None` when too many are watched.
    pub(crate) fn watch(&mut self, turn_id: &str) -> Option<watch::Receiver<Progress>> {
        let text = self.running.get(turn_id).map_or("", Run::text);
        self.watched.watch(turn_id, text)
    }

    /// Whether somebody waits for the run of `turn_id`.
    pub(crate) fn is_watched(&self, turn_id: &str) -> bool {
        self.watched.is_watched(turn_id)
    }

    /// A piece of an answer.
    pub(crate) fn delta(&mut self, delta: &Delta, now: Instant, now_ms: i64) -> Vec<Tale> {
        if self.ended.find(&delta.turn_id).is_some() {
            return Vec::new();
        }
        self.named(&delta.turn_id, &delta.run_id);
        let run = self.run(&delta.turn_id, &delta.agent, &delta.session_key, now);
        let mut tales = Vec::new();
        if !run.heard(delta) {
            return tales;
        }
        if run.begin() {
            tales.push(run.tell(Chat::status("starting_model")));
            let start = json!({"phase": "start", "startedAt": now_ms});
            tales.push(run.inform("lifecycle", now_ms, start));
        }
        match delta.kind() {
            DeltaKind::Start => {}
            DeltaKind::Restart => run.restart(),
            DeltaKind::Text => tales.extend(run.say(&delta.text, now_ms)),
        }
        if let Some(run) = self.running.get(&delta.turn_id) {
            self.watched.say(&delta.turn_id, run.text());
        }
        tales
    }

    /// Something happened: an end is told once, whatever is repeated.
    pub(crate) fn happened(&mut self, event: &Event, now: Instant) -> Vec<Tale> {
        let (turn_id, agent, key) = (&event.turn_id, &event.agent, &event.session_key);
        if turn_id.is_empty() || self.ended.find(turn_id).is_some() {
            return Vec::new();
        }
        self.named(turn_id, &event.run_id);
        let known = self.running.get(turn_id);
        match &event.what {
            Some(What::Accepted(accepted)) => {
                if accepted.turn {
                    let session_id = accepted.session_id.clone();
                    self.run(turn_id, agent, key, now).accept(session_id);
                }
                return Vec::new();
            }
            Some(What::Answered(_) | What::Failed(_) | What::Aborted(_) | What::Injected(_)) => {}
            // Most who are refused never asked here; a repetition is refused while the first one runs.
            Some(What::Refused(_)) if known.is_some_and(Run::is_only_asked) => {}
            // A dead letter may be about a message that was answered, or about no answer at all.
            Some(What::Dead(dead)) if known.is_some() && dead.outbound_id.is_empty() => {}
            _ => return Vec::new(),
        }
        self.run(turn_id, agent, key, now);
        let Some(mut run) = self.running.remove(turn_id) else {
            return Vec::new();
        };
        self.ended.note(turn_id.clone(), ());
        self.watched.end(turn_id, event);
        run.end(event)
    }

    /// What is told of an end to somebody who was away when it was told to others.
    pub(crate) fn again(&self, event: &Event) -> Vec<Tale> {
        let own = match &event.what {
            Some(What::Answered(_) | What::Failed(_) | What::Aborted(_) | What::Injected(_)) => {
                true
            }
            Some(What::Dead(dead)) => dead.outbound_id.is_empty(),
            _ => false,
        };
        if !own || event.turn_id.is_empty() {
            return Vec::new();
        }
        let id = match event.run_id.as_str() {
            "" => self.name(&event.turn_id),
            id => id,
        };
        Run::new(id, &event.agent, &event.session_key, Instant::now()).end(event)
    }

    /// What was told so far of the answers that are being made.
    pub(crate) fn so_far(&self, now_ms: i64) -> Vec<Tale> {
        let running = self.running.values();
        running.filter_map(|run| run.so_far(now_ms)).collect()
    }

    /// The newest answer that is being made in a session: its name, and what was said so far.
    pub(crate) fn in_flight(&self, agent: &str, session_key: &str) -> Option<(&str, &str)> {
        let theirs = self
            .running
            .values()
            .filter(|run| run.agent == agent && run.session_key == session_key);
        let newest = theirs.max_by_key(|run| (!run.is_only_asked(), run.touched))?;
        Some((&newest.id, newest.text()))
    }

    /// Forgets runs of which nothing was heard for long.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.running
            .retain(|_, run| now.duration_since(run.touched) < SILENCE);
        self.watched.forget();
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
            .or_insert_with(|| Run::new(id, agent, key, now));
        run.touched = now;
        run
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
