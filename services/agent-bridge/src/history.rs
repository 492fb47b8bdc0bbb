//! What was said before a turn: asked of the ledger, remembered while this process owns the session.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bus::Bus;
use proto::{
    subject,
    v1::{HistoryReply, HistoryRequest, Turn},
};
use tracing::warn;

use crate::{
    backend::{Message, Role},
    config::Config,
    prompt,
};

/// How long the ledger is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a remembered session counts without asking again: lines may be added by others than agents.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// Sessions remembered at most.
const MAX_SESSIONS: usize = 1024;
/// Bytes of text remembered at most, all sessions together.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A line of a session, as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The turn it belongs to.
    pub turn_id: String,
    /// When it was said.
    pub at_ms: i64,
    /// Who said what.
    pub message: Message,
}

/// What was said in the sessions of this process.
pub(crate) struct Histories {
    max_lines: u32,
    max_chars: usize,
    remembered: Mutex<Remembered>,
}

/// Sessions, the least recently used of which are forgotten first.
#[derive(Default)]
struct Remembered {
    sessions: HashMap<Key, Session>,
    // Keys by when they were used.
    order: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

/// A session as long as one owner has it: after a takeover, after /new, and when it was compacted, nothing is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    agent: String,
    session_key: String,
    session_id: String,
    compactions: u32,
    epoch: u64,
}

struct Session {
    used: u64,
    // When the ledger told them; never, where it did not answer.
    read_at: Option<Instant>,
    lines: Vec<Kept>,
}

impl Histories {
    /// Remembers nothing yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            max_lines: config.max_history_lines,
            max_chars: config.max_history_chars,
            remembered: Mutex::default(),
        }
    }

    /// What was said before `turn`, oldest first. Where the ledger does not answer, what is remembered.
    pub(crate) async fn before(&self, bus: &Bus, turn: &Turn, epoch: u64) -> Vec<Message> {
        if self.max_lines == 0 {
            return Vec::new();
        }
        let key = Key::of(turn, epoch);
        let (fresh, mut lines) = self.remembered().lines(&key, Instant::now());
        if !fresh {
            let request = HistoryRequest {
                agent: turn.agent.clone(),
                session_key: turn.session_key.clone(),
                limit: self.max_lines,
                since_ms: turn.session_started_at_ms,
                ..HistoryRequest::default()
            };
            match bus
                .ask::<_, HistoryReply>(subject::HISTORY, &request, PATIENCE)
                .await
            {
                Ok(reply) => {
                    lines = merge(prompt::before(&turn.id, reply.lines), lines);
                    self.remembered()
                        .keep(key, lines.clone(), Some(Instant::now()));
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(
                        error,
                        turn.id,
                        lines = lines.len(),
                        "the ledger gives no history; going on without"
                    );
                    // What is said from now on is known nevertheless.
                    self.remembered().begin(key);
                }
            }
        }
        lines.retain(|line| line.turn_id != turn.id);
        prompt::newest(&lines, self.max_lines as usize, self.max_chars)
    }

    /// Adds what was said in `turn`, and what was answered if anything was.
    pub(crate) fn add(&self, turn: &Turn, epoch: u64, answer: &str, at_ms: i64) {
        let line = |message| Kept {
            turn_id: turn.id.clone(),
            at_ms,
            message,
        };
        let mut lines = vec![line(prompt::said(turn))];
        if !answer.is_empty() {
            lines.push(line(Message {
                role: Role::Assistant,
                content: answer.into(),
            }));
        }
        let max_lines = (self.max_lines as usize).saturating_mul(2);
        self.remembered()
            .add(&Key::of(turn, epoch), lines, max_lines);
    }

    /// Forgets what was said in a session; the ledger is asked for it again.
    pub(crate) fn forget(&self, agent: &str, session_key: &str) {
        let mut remembered = self.remembered();
        let theirs = remembered.sessions.keys();
        let theirs: Vec<_> = theirs
            .filter(|key| key.agent == agent && key.session_key == session_key)
            .cloned()
            .collect();
        for key in theirs {
            remembered.forget(&key);
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger's lines, and after them those of ours that it has not written down yet.
fn merge(ledger: Vec<Kept>, ours: Vec<Kept>) -> Vec<Kept> {
    let newest_ms = ledger.last().map_or(i64::MIN, |line| line.at_ms);
    let known = |line: &Kept| {
        let same =
            |other: &Kept| other.turn_id == line.turn_id && other.message.role == line.message.role;
        line.at_ms < newest_ms || ledger.iter().any(same)
    };
    let missing: Vec<Kept> = ours.into_iter().filter(|line| !known(line)).collect();
    ledger.into_iter().chain(missing).collect()
}

impl Remembered {
    /// The lines of a session, and whether they count without asking.
    fn lines(&mut self, key: &Key, now: Instant) -> (bool, Vec<Kept>) {
        self.clock += 1;
        let Some(session) = self.sessions.get_mut(key) else {
            return (false, Vec::new());
        };
        self.order.remove(&session.used);
        session.used = self.clock;
        self.order.insert(self.clock, key.clone());
        (
            session
                .read_at
                .is_some_and(|read_at| now.duration_since(read_at) < FRESH_FOR),
            session.lines.clone(),
        )
    }

    /// Remembers a session of which nothing is known yet; it is asked for again at its next turn.
    fn begin(&mut self, key: Key) {
        if !self.sessions.contains_key(&key) {
            self.keep(key, Vec::new(), None);
        }
    }

    fn keep(&mut self, key: Key, lines: Vec<Kept>, read_at: Option<Instant>) {
        self.forget(&key);
        self.clock += 1;
        self.bytes += bytes(&lines);
        self.order.insert(self.clock, key.clone());
        self.sessions.insert(
            key,
            Session {
                used: self.clock,
                read_at,
                lines,
            },
        );
        self.shrink();
    }

    /// Adds lines to a session that is remembered; to another one nothing can be added, as its beginning is missing.
    fn add(&mut self, key: &Key, lines: Vec<Kept>, max_lines: usize) {
        if let Some(session) = self.sessions.get_mut(key) {
            self.bytes += bytes(&lines);
            session.lines.extend(lines);
            let old = session.lines.len().saturating_sub(max_lines);
            self.bytes -= bytes(&session.lines[..old]);
            session.lines.drain(..old);
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        while self.sessions.len() > MAX_SESSIONS || self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(session) = self.sessions.remove(key) {
            self.order.remove(&session.used);
            self.bytes -= bytes(&session.lines);
        }
    }
}

fn bytes(lines: &[Kept]) -> usize {
    lines
        .iter()
        .map(|line| line.message.content.len() + line.turn_id.len())
        .sum()
}

impl Key {
    fn of(turn: &Turn, epoch: u64) -> Self {
        Self {
            agent: turn.agent.clone(),
            session_key: turn.session_key.clone(),
            session_id: turn.session_id.clone(),
            compactions: turn.compactions,
            epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(turn_id: &str, at_ms: i64, content: &str) -> Kept {
        let message = Message {
            role: Role::User,
            content: content.into(),
        };
        Kept {
            turn_id: turn_id.into(),
            at_ms,
            message,
        }
    }

    fn key(session: &str, epoch: u64) -> Key {
        let turn = Turn {
            session_id: session.into(),
            ..Turn::default()
        };
        Key::of(&turn, epoch)
    }

    #[test]
    fn a_session_is_remembered_for_one_owner_and_for_a_while() {
        let (mut remembered, now) = (Remembered::default(), Instant::now());
        remembered.keep(key("a", 1), vec![kept("1", 1, "one")], Some(now));
        remembered.add(&key("a", 1), vec![kept("2", 2, "two")], 10);
        let (fresh, lines) = remembered.lines(&key("a", 1), now);
        assert!(fresh && lines.len() == 2);
        assert_eq!(
            remembered.lines(&key("a", 2), now),
            (false, vec![]),
            "after a takeover"
        );
        let (fresh, lines) = remembered.lines(&key("a", 1), now + FRESH_FOR);
        assert!(!fresh && lines.len() == 2);
    }

    #[test]
    fn what_is_not_remembered_is_not_begun_in_the_middle() {
        let mut remembered = Remembered::default();
        remembered.add(&key("a", 1), vec![kept("2", 2, "two")], 10);
        assert_eq!(
            remembered.lines(&key("a", 1), Instant::now()),
            (false, vec![])
        );
    }

    #[test]
    fn while_the_ledger_is_away_a_session_is_remembered_and_asked_for_again() {
        let (mut remembered, now) = (Remembered::default(), Instant::now());
        remembered.begin(key("a", 1));
        remembered.add(&key("a", 1), vec![kept("1", 1, "one")], 10);
        remembered.begin(key("a", 1));
        let (fresh, lines) = remembered.lines(&key("a", 1), now);
        assert!(!fresh && lines.len() == 1);
    }

    #[test]
    fn the_least_recently_used_is_forgotten_first_and_nothing_is_counted_twice() {
        let (mut remembered, now) = (Remembered::default(), Instant::now());
        for n in 0..MAX_SESSIONS {
            remembered.keep(key(&n.to_string(), 1), vec![kept("1", 1, "xx")], Some(now));
        }
        remembered.lines(&key("0", 1), now);
        remembered.keep(key("new", 1), vec![kept("1", 1, "xx")], Some(now));
        remembered.keep(key("new", 1), vec![kept("1", 1, "xx")], Some(now));
        assert!(remembered.lines(&key("0", 1), now).0 && !remembered.lines(&key("1", 1), now).0);
        assert_eq!(
            (remembered.sessions.len(), remembered.order.len()),
            (MAX_SESSIONS, MAX_SESSIONS)
        );
        assert_eq!(remembered.bytes, MAX_SESSIONS * 3);
        remembered.keep(
            key("big", 1),
            vec![kept("1", 1, &"x".repeat(MAX_BYTES))],
            Some(now),
        );
        assert_eq!((remembered.sessions.len(), remembered.bytes), (0, 0));
    }

    #[test]
    fn what_the_ledger_has_not_written_yet_comes_after_what_it_has() {
        let ledger = vec![kept("1", 10, "one"), kept("2", 20, "two")];
        let ours = vec![
            kept("0", 5, "zero"),
            kept("2", 21, "two"),
            kept("3", 30, "three"),
        ];
        let turns: Vec<String> = merge(ledger, ours)
            .into_iter()
            .map(|line| line.turn_id)
            .collect();
        assert_eq!(turns, ["1", "2", "3"]);
    }
}
