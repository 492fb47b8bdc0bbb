//! Tells an answer while it is made: at most one delta in 50 ms, numbered, beginning with a start.

use std::time::Duration;

use proto::v1::{Delta, DeltaKind, Turn};
use tokio::time::Instant;

/// Least time between two deltas of a run.
const PACE: Duration = Duration::from_millis(50);

/// What was said of an answer so far, and how much of it was told.
pub(crate) struct Live {
    // What all deltas of the run share.
    blank: Delta,
    seq: u64,
    text: String,
    // Bytes of `text` that were told.
    told: usize,
    told_at: Instant,
}

impl Live {
    /// Makes the deltas of `turn`; the first one says that the run begins.
    pub(crate) fn begin(turn: &Turn, now: Instant) -> (Self, Delta) {
        let blank = Delta {
            turn_id: turn.id.clone(),
            agent: turn.agent.clone(),
            session_key: turn.session_key.clone(),
            reply_to: turn.reply_to.clone(),
            run_id: turn
                .wish
                .as_ref()
                .map(|wish| wish.run_id.clone())
                .unwrap_or_default(),
            ..Delta::default()
        };
        let mut live = Self {
            blank,
            seq: 0,
            text: String::new(),
            told: 0,
            told_at: now,
        };
        let start = live.delta(DeltaKind::Start, String::new());
        (live, start)
    }

    /// Adds a piece.
    pub(crate) fn say(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// All that was said since the run began, or began anew.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// When the next delta may be told; `None` while there is nothing to tell.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.told < self.text.len()).then_some(self.told_at + PACE)
    }

    /// The delta with all that was not told yet.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Delta> {
        let text = self
            .text
            .get(self.told..)
            .filter(|text| !text.is_empty())?
            .to_owned();
        self.told = self.text.len();
        self.told_at = now;
        Some(self.delta(DeltaKind::Text, text))
    }

    /// Puts off what is due: it may not be told now.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.told_at = now;
    }

    /// Forgets what was said, as the answer begins anew. A delta says so if any of it was told.
    pub(crate) fn restart(&mut self) -> Option<Delta> {
        self.text.clear();
        let told = std::mem::take(&mut self.told) > 0;
        told.then(|| self.delta(DeltaKind::Restart, String::new()))
    }

    fn delta(&mut self, kind: DeltaKind, text: String) -> Delta {
        self.seq += 1;
        Delta {
            seq: self.seq,
            kind: kind.into(),
            text,
            ..self.blank.clone()
        }
    }
}

/// Sleeps until `due`; for ever where there is nothing to wait for.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> (Live, Delta, Instant) {
        let now = Instant::now();
        let turn = Turn {
            id: "t".into(),
            session_key: "telegram:dm:1".into(),
            ..Turn::default()
        };
        let (live, start) = Live::begin(&turn, now);
        (live, start, now)
    }

    #[test]
    fn a_run_starts_and_its_pieces_are_told_together() {
        let (mut live, start, now) = begin();
        assert_eq!(
            (start.kind(), start.seq, start.turn_id.as_str()),
            (DeltaKind::Start, 1, "t")
        );
        assert_eq!((live.due(), live.take(now)), (None, None));
        live.say("a");
        live.say("b");
        assert_eq!(live.due(), Some(now + PACE));
        let delta = live.take(now + PACE).unwrap();
        assert_eq!(
            (delta.kind(), delta.seq, delta.text.as_str()),
            (DeltaKind::Text, 2, "ab")
        );
        live.say("c");
        assert_eq!(live.due(), Some(now + PACE * 2));
        assert_eq!(live.text(), "abc");
    }

    #[test]
    fn a_restart_is_told_only_where_something_was_told() {
        let (mut live, _, now) = begin();
        live.say("a");
        assert_eq!(live.restart(), None);
        live.say("b");
        live.take(now);
        let restart = live.restart().unwrap();
        assert_eq!((restart.kind(), restart.seq), (DeltaKind::Restart, 3));
        assert_eq!((live.text(), live.due()), ("", None));
    }
}
