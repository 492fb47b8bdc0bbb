//! What waits to be written to one connection: bounded, and never waited for by anybody else.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::ws::Event;
use tokio::sync::Notify;

/// Events held back while a client is told what it missed: that takes a moment, and this is far more than happens then.
const MAX_HELD: usize = 16_384;

/// What waits to be written to one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    max_bytes: usize,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
    seq: u64,
    overflown: bool,
    /// Events that wait until others were told before them; `None` where none has to.
    held: Option<Vec<(Arc<Event>, Worth)>>,
}

#[derive(Debug)]
enum Frame {
    /// An answer to this connection.
    Own(String),
    /// An event that others hear too, and its number here.
    Shared(Arc<Event>, u64),
}

/// Whether an event may be left out for a connection that is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// A later one says the same: deltas, tick, presence, health.
    Droppable,
    /// A connection that cannot take it is closed.
    Needed,
}

impl Outbox {
    /// An empty one that holds at most `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Puts the first frame of a connection before what has come in already.
    pub(crate) fn first(&self, text: String) {
        let mut waiting = self.lock();
        waiting.bytes += text.len();
        waiting.frames.push_front(Frame::Own(text));
        drop(waiting);
        self.filled.notify_one();
    }

    /// Adds an answer.
    pub(crate) fn answer(&self, text: String) {
        let mut waiting = self.lock();
        let size_bytes = text.len();
        waiting.add(Frame::Own(text), size_bytes, self.max_bytes);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Adds an event. One that is left out uses up its number, so that the other end sees the gap.
    pub(crate) fn tell(&self, event: &Arc<Event>, worth: Worth) {
        let mut waiting = self.lock();
        match &mut waiting.held {
            Some(held) if held.len() < MAX_HELD => return held.push((event.clone(), worth)),
            Some(_) => waiting.overflow(),
            None => waiting.tell(event, worth, self.max_bytes),
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Holds events back from now on, until [`Outbox::release`].
    pub(crate) fn hold(&self) {
        self.lock().held = Some(Vec::new());
    }

    /// Adds events before those that are held back, which follow now.
    pub(crate) fn release(&self, before: &[(Arc<Event>, Worth)]) {
        let mut waiting = self.lock();
        let held = waiting.held.take().unwrap_or_default();
        for (event, worth) in before.iter().chain(&held) {
            waiting.tell(event, *worth, self.max_bytes);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// The next frame's text.
    pub(crate) fn next(&self) -> Option<String> {
        let mut waiting = self.lock();
        let frame = waiting.frames.pop_front()?;
        let size_bytes = match &frame {
            Frame::Own(text) => text.len(),
            Frame::Shared(event, _) => event.size_bytes(),
        };
        waiting.bytes = waiting.bytes.saturating_sub(size_bytes);
        drop(waiting);
        Some(match frame {
            Frame::Own(text) => text,
            Frame::Shared(event, seq) => event.text(Some(seq)),
        })
    }

    /// Done when something may have come in since the last call.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Whether something was needed that did not fit.
    pub(crate) fn is_overflown(&self) -> bool {
        self.lock().overflown
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half-way, so what a poisoned lock guards is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn tell(&mut self, event: &Arc<Event>, worth: Worth, max_bytes: usize) {
        self.seq += 1;
        let (seq, size_bytes) = (self.seq, event.size_bytes());
        if worth == Worth::Needed || self.bytes + size_bytes <= max_bytes / 2 {
            self.add(Frame::Shared(event.clone(), seq), size_bytes, max_bytes);
        }
    }

    /// Frees the memory of a connection that is given up.
    fn overflow(&mut self) {
        *self = Self {
            overflown: true,
            seq: self.seq,
            ..Self::default()
        };
    }

    fn add(&mut self, frame: Frame, size_bytes: usize, max_bytes: usize) {
        // One frame always fits, however large: it may be an answer that was asked for.
        if self.overflown || (self.bytes > 0 && self.bytes + size_bytes > max_bytes) {
            return self.overflow();
        }
        self.bytes += size_bytes;
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(size: usize) -> Arc<Event> {
        Arc::new(Event::new("x", &"y".repeat(size), None))
    }

    #[test]
    fn events_are_numbered_and_the_first_frame_comes_first() {
        let outbox = Outbox::new(1000);
        outbox.tell(&event(1), Worth::Needed);
        outbox.first("hello".into());
        outbox.tell(&event(1), Worth::Needed);
        assert_eq!(outbox.next().unwrap(), "hello");
        assert!(outbox.next().unwrap().ends_with(r#""seq":1}"#));
        assert!(outbox.next().unwrap().ends_with(r#""seq":2}"#));
        assert_eq!((outbox.next(), outbox.bytes()), (None, 0));
    }

    #[test]
    fn what_was_missed_comes_before_what_happened_meanwhile() {
        let outbox = Outbox::new(1000);
        outbox.hold();
        outbox.tell(&event(1), Worth::Needed);
        outbox.answer("hello".into());
        let missed = Arc::new(Event::new("missed", &json!({}), None));
        outbox.release(&[(missed, Worth::Needed)]);
        outbox.tell(&event(2), Worth::Needed);
        let told: Vec<_> = std::iter::from_fn(|| outbox.next()).collect();
        assert_eq!(told[0], "hello");
        assert!(told[1].contains("missed") && told[1].ends_with(r#""seq":1}"#));
        assert!(told[2].contains(r#""y""#) && told[2].ends_with(r#""seq":2}"#));
        assert!(told[3].ends_with(r#""seq":3}"#));
    }

    #[test]
    fn a_slow_connection_misses_what_may_be_missed_and_sees_the_gap() {
        let outbox = Outbox::new(1000);
        outbox.tell(&event(400), Worth::Needed);
        outbox.tell(&event(400), Worth::Droppable);
        outbox.tell(&event(100), Worth::Needed);
        assert!(outbox.next().unwrap().ends_with(r#""seq":1}"#));
        assert!(outbox.next().unwrap().ends_with(r#""seq":3}"#));
        assert!(!outbox.is_overflown());
    }

    #[test]
    fn what_is_needed_and_does_not_fit_overflows_and_frees_the_memory() {
        let outbox = Outbox::new(1000);
        outbox.answer("a".repeat(5000));
        assert!(!outbox.is_overflown(), "one frame always fits");
        outbox.tell(&event(400), Worth::Needed);
        assert!(outbox.is_overflown());
        assert_eq!((outbox.next(), outbox.bytes()), (None, 0));
    }
}
