//! Which turns run here, and how they are stopped.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use std::sync::Arc;

use proto::v1::Turn;
use tokio_util::sync::CancellationToken;

/// How long a cancel is remembered for turns that still wait.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// How many cancels are remembered at most.
const REMEMBERED: usize = 512;

/// The turns that run in this process.
#[derive(Default)]
pub(crate) struct Runs(Mutex<State>);

#[derive(Default)]
struct State {
    running: HashMap<String, Running>,
    cancels: VecDeque<(Instant, Cancel)>,
}

struct Running {
    turn: Subject,
    stop: Stop,
}

/// A running turn; ends when it is dropped.
pub(crate) struct Run<'a> {
    runs: &'a Runs,
    turn_id: String,
    stop: Stop,
}

#[derive(Clone, Default)]
struct Stop {
    token: CancellationToken,
    why: Arc<OnceLock<&'static str>>,
}

/// What of a turn decides whether a cancel means it.
struct Subject {
    id: String,
    agent: String,
    session_key: String,
    received_at_ms: i64,
}

/// A wish that turns stop.
struct Cancel {
    agent: String,
    session_key: String,
    // Id of a turn, or "*".
    turn: String,
    // When it was said; 0 where an operator's client asks, which means what runs at that moment.
    received_at_ms: i64,
    why: &'static str,
}

impl Runs {
    /// Notes that `turn` runs. It is stopped already if it was cancelled while it waited.
    pub(crate) fn begin(&self, turn: &Turn) -> Run<'_> {
        let subject = Subject {
            id: turn.id.clone(),
            agent: turn.agent.clone(),
            session_key: turn.session_key.clone(),
            received_at_ms: turn.received_at_ms,
        };
        let stop = Stop::default();
        let mut state = self.state();
        state.forget(Instant::now());
        let waiting = |cancel: &Cancel| cancel.stays() && cancel.means(&subject);
        if let Some((_, cancel)) = state.cancels.iter().find(|(_, cancel)| waiting(cancel)) {
            stop.now(cancel.why);
        }
        state.running.insert(
            turn.id.clone(),
            Running {
                turn: subject,
                stop: stop.clone(),
            },
        );
        Run {
            runs: self,
            turn_id: turn.id.clone(),
            stop,
        }
    }

    /// Stops what `cancel` means and returns how many turns that were; none is no fault.
    pub(crate) fn cancel(&self, cancel: &Turn) -> usize {
        let cancel = Cancel {
            agent: cancel.agent.clone(),
            session_key: cancel.session_key.clone(),
            turn: cancel.cancel.clone(),
            received_at_ms: cancel.received_at_ms,
            // A "/stop" in a chat is a message and has an id; an operator's call has none.
            why: if cancel.id.is_empty() { "rpc" } else { "stop" },
        };
        let mut state = self.state();
        let meant = state
            .running
            .values()
            .filter(|running| cancel.means(&running.turn));
        let stopped = meant.map(|running| running.stop.now(cancel.why)).count();
        let now = Instant::now();
        state.forget(now);
        if state.cancels.len() >= REMEMBERED {
            state.cancels.pop_front();
        }
        state.cancels.push_back((now, cancel));
        stopped
    }

    /// How many turns run.
    pub(crate) fn count(&self) -> usize {
        self.state().running.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while self
            .cancels
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED_FOR)
        {
            self.cancels.pop_front();
        }
    }
}

impl Cancel {
    fn means(&self, turn: &Subject) -> bool {
        let here = self.session_key == turn.session_key
            && (self.agent.is_empty() || self.agent == turn.agent);
        // What was said after the stop is not stopped by it, though it may overtake it on the way.
        let before = self.received_at_ms == 0 || turn.received_at_ms <= self.received_at_ms;
        here && (self.turn == turn.id || (self.turn == "*" && before))
    }

    /// Whether it also means turns that have not begun.
    fn stays(&self) -> bool {
        self.turn != "*" || self.received_at_ms != 0
    }
}

impl Stop {
    fn now(&self, why: &'static str) {
        self.why.get_or_init(|| why);
        self.token.cancel();
    }
}

impl Run<'_> {
    /// Waits until somebody stops this run, and says who: `rpc` or `stop`.
    pub(crate) async fn stopped(&self) -> &'static str {
        self.stop.token.cancelled().await;
        self.stop.why.get().copied().unwrap_or("rpc")
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.runs.state().running.remove(&self.turn_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(id: &str, session: &str, received_at_ms: i64) -> Turn {
        Turn {
            id: id.into(),
            agent: "main".into(),
            session_key: session.into(),
            received_at_ms,
            ..Turn::default()
        }
    }

    fn cancel(of: &str, session: &str, received_at_ms: i64) -> Turn {
        Turn {
            cancel: of.into(),
            ..turn("", session, received_at_ms)
        }
    }

    fn is_stopped(run: &Run<'_>) -> bool {
        run.stop.token.is_cancelled()
    }

    #[test]
    fn a_cancel_stops_its_turn_and_no_other() {
        let runs = Runs::default();
        let (one, two) = (
            runs.begin(&turn("1", "a", 1)),
            runs.begin(&turn("2", "b", 1)),
        );
        assert_eq!(
            runs.cancel(&cancel("1", "b", 0)),
            0,
            "another session's turn"
        );
        assert_eq!(runs.cancel(&cancel("1", "a", 0)), 1);
        assert!(is_stopped(&one) && !is_stopped(&two));
        drop(one);
        assert_eq!((runs.cancel(&cancel("1", "a", 0)), runs.count()), (0, 1));
    }

    #[test]
    fn a_stop_means_what_was_said_before_it_even_if_it_waits() {
        let runs = Runs::default();
        let running = runs.begin(&turn("1", "a", 10));
        assert_eq!(runs.cancel(&cancel("*", "a", 20)), 1);
        let (waited, later) = (
            runs.begin(&turn("2", "a", 15)),
            runs.begin(&turn("3", "a", 21)),
        );
        assert!(is_stopped(&running) && is_stopped(&waited) && !is_stopped(&later));
        assert_eq!(
            runs.cancel(&cancel("*", "a", 20)),
            2,
            "the same stop, again"
        );
        assert!(!is_stopped(&later));
    }

    #[test]
    fn a_turn_that_is_cancelled_before_it_begins_never_runs() {
        let runs = Runs::default();
        runs.cancel(&cancel("1", "a", 0));
        assert!(is_stopped(&runs.begin(&turn("1", "a", 5))));
        runs.cancel(&cancel("*", "a", 0));
        assert!(
            !is_stopped(&runs.begin(&turn("2", "a", 5))),
            "an operator's stop means what runs"
        );
    }

    #[tokio::test]
    async fn a_run_knows_who_stopped_it() {
        let runs = Runs::default();
        let run = runs.begin(&turn("1", "a", 1));
        runs.cancel(&Turn {
            id: "said".into(),
            ..cancel("*", "a", 2)
        });
        runs.cancel(&cancel("*", "a", 0));
        assert_eq!(run.stopped().await, "stop");
    }
}
