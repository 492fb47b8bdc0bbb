//! The last lines of the log, kept in memory for operators who look from afar.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
};

use super::scrub::Scrub;

/// Bytes of lines that are kept.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Lines that are kept.
const MAX_LINES: usize = 20_000;
/// Longest line, in bytes; a longer one is cut.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// The last lines of the log. Clones show the same lines.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<String>,
    /// Bytes that were logged before the first line that is kept.
    begins: u64,
    /// Bytes that were logged in all, a line feed after each line.
    ends: u64,
}

/// Some lines of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Oldest first; each a JSON object in the form of the reference gateway's log.
    pub lines: Vec<String>,
    /// Where to go on reading.
    pub cursor: u64,
    /// Bytes that were logged in all.
    pub size: u64,
    /// Lines before these are left out.
    pub truncated: bool,
    /// The cursor was of another log, or of lines that are not kept any more: these are not what follows it.
    pub reset: bool,
    /// Bytes between the cursor and these lines that are not kept any more.
    pub skipped_bytes: u64,
}

impl Tail {
    /// Lines after `cursor`, nothing left out as far as it is kept; without one the newest. At most `limit` lines and
    /// about `max_bytes`, but one line at least.
    pub fn read(&self, cursor: Option<u64>, limit: usize, max_bytes: usize) -> Piece {
        let ring = self.lock();
        match cursor {
            Some(cursor) if cursor <= ring.ends => ring.after(cursor, limit, max_bytes),
            cursor => Piece {
                reset: cursor.is_some(),
                ..ring.newest(limit, max_bytes)
            },
        }
    }

    fn push(&self, mut line: String) {
        if line.len() > MAX_LINE_BYTES {
            line.truncate(line.floor_char_boundary(MAX_LINE_BYTES));
        }
        let mut ring = self.lock();
        ring.ends += size(&line);
        ring.lines.push_back(line);
        while ring.lines.len() > MAX_LINES || ring.ends - ring.begins > MAX_BYTES as u64 {
            let Some(oldest) = ring.lines.pop_front() else {
                return;
            };
            ring.begins += size(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing in there panics half-way, so what a poisoned lock guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn newest(&self, limit: usize, max_bytes: usize) -> Piece {
        let mut bytes = 0;
        let fits = |line: &&String| {
            bytes += size(line);
            bytes <= max_bytes as u64
        };
        let lines = self.lines.iter().rev().take(limit).take_while(fits);
        let count = lines.count().max(1).min(self.lines.len());
        let first = self.lines.len() - count;
        Piece {
            lines: self.lines.range(first..).cloned().collect(),
            cursor: self.ends,
            size: self.ends,
            truncated: first > 0 || self.begins > 0,
            reset: false,
            skipped_bytes: 0,
        }
    }

    fn after(&self, cursor: u64, limit: usize, max_bytes: usize) -> Piece {
        let skipped_bytes = self.begins.saturating_sub(cursor);
        let (mut at, mut lines, mut bytes) = (self.begins, Vec::new(), 0);
        for line in &self.lines {
            let begins = at;
            at += size(line);
            if begins < cursor {
                continue;
            }
            bytes += size(line);
            let full = lines.len() >= limit || bytes > max_bytes as u64;
            if full && !lines.is_empty() {
                at = begins;
                break;
            }
            lines.push(line.clone());
        }
        Piece {
            lines,
            cursor: at.max(cursor),
            size: self.ends,
            truncated: skipped_bytes > 0,
            reset: skipped_bytes > 0,
            skipped_bytes,
        }
    }
}

/// Bytes of a line with its line feed.
fn size(line: &str) -> u64 {
    line.len() as u64 + 1
}

/// Writes each event that is logged into a [`Tail`].
pub(super) struct Keeper {
    pub(super) tail: Tail,
    pub(super) scrub: Scrub,
}

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let mut time = String::new();
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let metadata = event.metadata();
        let name = metadata.target().replace("::", "/").replace('_', "-");
        let name = json!({"subsystem": name}).to_string();
        let level = metadata.level().as_str();
        let mut line = json!({
            "0": name, "1": said.message, "time": time,
            "_meta": {"logLevelName": level, "date": time, "name": name},
        });
        if !said.fields.is_empty() {
            line["2"] = said.fields.into();
        }
        self.tail
            .push(self.scrub.clean(&line.to_string()).into_owned());
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn note(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.note(field, format!("{value:?}").into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn tail(lines: std::ops::Range<usize>) -> Tail {
        let tail = Tail::default();
        lines.for_each(|n| tail.push(format!("{n:04}")));
        tail
    }

    #[test]
    fn without_a_cursor_the_newest_lines_are_read_and_with_it_what_came_since() {
        let tail = tail(0..10);
        let newest = tail.read(None, 2, 1000);
        assert_eq!(newest.lines, ["0008", "0009"]);
        assert_eq!(
            (newest.cursor, newest.size, newest.truncated),
            (50, 50, true)
        );
        assert_eq!(tail.read(None, 9, 12).lines, ["0008", "0009"]);
        assert_eq!(tail.read(None, 9, 1).lines, ["0009"], "one at least");
        assert!(tail.read(Some(50), 9, 1000).lines.is_empty());
        tail.push("0010".into());
        let since = tail.read(Some(50), 9, 1000);
        assert_eq!(
            (since.lines.as_slice(), since.reset),
            (&["0010".to_owned()][..], false)
        );
        assert!(!Tail::default().read(None, 9, 9).truncated);
    }

    #[test]
    fn whoever_reads_on_misses_nothing_however_little_is_read_at_once() {
        let tail = tail(0..100);
        let (mut cursor, mut read) = (0, Vec::new());
        loop {
            let piece = tail.read(Some(cursor), 7, 23);
            if piece.lines.is_empty() {
                break;
            }
            assert!(!piece.reset && piece.lines.len() <= 4);
            cursor = piece.cursor;
            read.extend(piece.lines);
        }
        assert_eq!(
            read,
            (0..100).map(|n| format!("{n:04}")).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_cursor_of_lines_that_are_gone_or_of_another_log_is_reset() {
        let tail = tail(0..MAX_LINES + 10);
        let piece = tail.read(Some(5), 1, 100);
        assert_eq!(
            (piece.lines.as_slice(), piece.skipped_bytes),
            (&["0010".to_owned()][..], 45)
        );
        assert!(piece.reset && piece.truncated);
        let other = tail.read(Some(u64::MAX), 1, 100);
        assert!(other.reset && other.lines.len() == 1);
    }

    #[test]
    fn a_line_has_the_form_of_the_reference_and_no_secret() {
        let (tail, scrub) = (Tail::default(), Scrub::default());
        scrub.hide(["canary-secret".into()]);
        let keeper = Keeper {
            tail: tail.clone(),
            scrub,
        };
        let subscriber = tracing_subscriber::registry().with(keeper);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(account = "main", n = 7, "sent with canary-secret");
        });
        let line = tail.read(None, 9, 9999).lines.pop().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["1"], "sent with ***");
        assert_eq!(line["2"], json!({"account": "main", "n": 7}));
        assert_eq!(line["_meta"]["logLevelName"], "WARN");
        assert!(line["0"].as_str().unwrap().contains("chassis/log/tail"));
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
}
