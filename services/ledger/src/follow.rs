//! Follows the EVENT stream and writes it down in batches, through any loss of the server.

use std::{pin::pin, time::Duration};

use bus::{Bus, Record, StreamState};
use futures_util::{Stream, StreamExt};
use prost::Message;
use proto::{
    subject,
    v1::{Event, event::What},
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Config, Error,
    store::{Position, Writer},
};

/// The stream of what happened.
pub(crate) const EVENT: &str = "EVENT";

/// How long a batch waits for more after its first event.
const GATHER: Duration = Duration::from_millis(5);
/// How large a batch grows before it is written.
const GATHER_BYTES: usize = 4 << 20;
/// How often it is checked that the stream is still the same one.
const CHECK: Duration = Duration::from_secs(5);
/// How often old rows are looked for.
const FORGET: Duration = Duration::from_secs(60);
/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Writes down what happens until `stop`; `applied` tells the sequence of the last event written.
pub(crate) struct Follower<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) config: &'a Config,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) applied: &'a watch::Sender<u64>,
    pub(crate) writer: Writer,
}

impl Follower<'_> {
    /// Runs until told to stop, then closes the file.
    ///
    /// # Errors
    /// [`Error::Bus`] when a person must act; anything else heals here.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut pause = PAUSES.0;
        while !self.stop.is_cancelled() {
            let begun = Instant::now();
            let Err(error) = self.round().await else {
                continue;
            };
            if let Error::Bus(error @ (bus::Error::Refused(_) | bus::Error::Invalid(_))) = error {
                return Err(error.into());
            }
            if begun.elapsed() > PAUSES.1 {
                pause = PAUSES.0;
            }
            error!(
                error = &error as &dyn std::error::Error,
                "ledger stands still; tries again in {pause:?}"
            );
            let _ = self
                .stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await;
            pause = (pause * 2).min(PAUSES.1);
        }
        self.writer.close().await
    }

    /// Follows one stream from where the file ends, until it is another one, or `stop`.
    async fn round(&mut self) -> Result<(), Error> {
        let state = self.bus.stream_state(EVENT).await?;
        let mut position = resume(self.writer.position().await?, &state);
        self.applied.send_replace(position.sequence);
        let mut records = pin!(self.bus.follow::<Event>(EVENT, position.sequence).await?);
        let (mut check, mut forget) = (interval(CHECK), interval(FORGET));
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.tick().await;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                first = records.next() => {
                    let Some(first) = first else { return Ok(()) };
                    let batch = gather(first, &mut records, self.config.batch()).await;
                    position.sequence = self.write(batch, position).await?;
                }
                _ = check.tick() => {
                    let now = self.bus.stream_state(EVENT).await?;
                    if resume(position, &now) != position {
                        return Ok(());
                    }
                }
                _ = forget.tick() => self.forget().await?,
            }
        }
    }

    /// Writes a batch down and returns the sequence of its last event.
    async fn write(
        &mut self,
        batch: Vec<Record<Event>>,
        mut position: Position,
    ) -> Result<u64, Error> {
        let begun = Instant::now();
        let erased: Vec<_> = batch.iter().filter_map(erased).collect();
        // Before it is written down that words are gone, so that a crash in between does it again.
        for (events, _) in &erased {
            self.bus.erase(EVENT, events, position.sequence + 1).await?;
        }
        position.sequence = batch
            .last()
            .map_or(position.sequence, |record| record.sequence);
        let waiting = batch.last().map_or(0, |record| record.waiting);
        let events: Vec<Event> = batch.into_iter().filter_map(readable).collect();
        self.writer.apply(&events, position).await?;
        // And after it what came since, in the same batch.
        for (events, before) in &erased {
            self.bus.erase(EVENT, events, *before).await?;
        }
        self.applied.send_replace(position.sequence);
        metrics::counter!("openclaw_ledger_events_total").increment(events.len() as u64);
        metrics::gauge!("openclaw_ledger_waiting_events").set(waiting as f64);
        metrics::histogram!("openclaw_ledger_write_seconds").record(begun.elapsed().as_secs_f64());
        Ok(position.sequence)
    }

    /// Forgets what is older than the settings allow, a slice at a time.
    async fn forget(&mut self) -> Result<(), Error> {
        let Some(kept_ms) = self.config.kept_ms() else {
            return Ok(());
        };
        let before_ms = chassis::clock::now_ms() - kept_ms;
        while !self.stop.is_cancelled() && self.writer.forget(before_ms).await? {}
        Ok(())
    }
}

/// Where to go on in a stream that stands as in `state`, when the file ends at `written`.
///
/// Another stream under the same name, or one that lost its end, is read from its start: events known already have
/// known ids.
fn resume(written: Position, state: &StreamState) -> Position {
    let same = written.stream_created_ms == state.created_ms;
    if same && written.sequence <= state.last {
        return written;
    }
    if written != Position::default() {
        info!(
            written = written.sequence,
            last = state.last,
            "stream {EVENT} was made anew or set back; it is read from its start"
        );
    }
    Position {
        stream_created_ms: state.created_ms,
        sequence: 0,
    }
}

/// `first` and what follows within [`GATHER`], at most `size` of them and about [`GATHER_BYTES`],
/// and the rest of the last one's bundle.
async fn gather(
    first: Record<Event>,
    rest: &mut (impl Stream<Item = Record<Event>> + Unpin),
    size: usize,
) -> Vec<Record<Event>> {
    let deadline = Instant::now() + GATHER;
    let weight = |record: &Record<Event>| record.message.as_ref().map_or(0, Message::encoded_len);
    let mut bytes = weight(&first);
    let mut batch = vec![first];
    let whole = |batch: &[Record<Event>]| batch.last().is_none_or(|record| record.rest == 0);
    // All of a sequence or nothing: what follows is asked for by sequence.
    while (!whole(&batch) || (batch.len() < size && bytes < GATHER_BYTES))
        && let Ok(Some(next)) = timeout_at(deadline, rest.next()).await
    {
        bytes += weight(&next);
        batch.push(next);
    }
    batch
}

/// Where the events lie whose words `record` has erased, and before which sequence.
///
/// What was stored together with events of other sessions stays for as long as the stream keeps anything.
fn erased(record: &Record<Event>) -> Option<(String, u64)> {
    let event = record.message.as_ref()?;
    match &event.what {
        Some(What::Removed(removed)) if removed.erase => {
            Some((subject::events(&event.session_key), record.sequence))
        }
        _ => None,
    }
}

/// The event of `record`, if it is one that can be kept.
fn readable(record: Record<Event>) -> Option<Event> {
    let event = record.message.filter(|event| !event.id.is_empty());
    if event.is_none() {
        warn!(
            sequence = record.sequence,
            subject = record.subject,
            "left out an event that cannot be read"
        );
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn state(created_ms: i64, last: u64) -> StreamState {
        StreamState {
            created_ms,
            first: 1,
            last,
            messages: last,
            bytes: 0,
            oldest_ms: 0,
        }
    }

    #[test]
    fn the_same_stream_is_read_on_and_another_from_its_start() {
        let written = Position {
            stream_created_ms: 5,
            sequence: 9,
        };
        assert_eq!(resume(written, &state(5, 12)), written);
        assert_eq!(
            resume(written, &state(6, 12)),
            Position {
                stream_created_ms: 6,
                sequence: 0
            }
        );
        assert_eq!(
            resume(written, &state(5, 8)),
            Position {
                stream_created_ms: 5,
                sequence: 0
            }
        );
    }

    fn record(sequence: u64, text_bytes: usize) -> Record<Event> {
        let event = Event {
            id: "x".repeat(text_bytes),
            ..Event::default()
        };
        Record {
            sequence,
            subject: String::new(),
            at_ms: 0,
            waiting: 0,
            rest: 0,
            message: Some(event),
        }
    }

    #[tokio::test]
    async fn a_sequence_is_never_torn() {
        let torn = |rest| Record {
            rest,
            ..record(1, 1)
        };
        let mut rest = stream::iter([torn(1), torn(0), record(2, 1)]);
        assert_eq!(gather(torn(2), &mut rest, 1).await.len(), 3);
    }

    #[tokio::test]
    async fn a_batch_is_no_larger_than_asked() {
        let mut rest = stream::iter((2..10).map(|sequence| record(sequence, 1)));
        assert_eq!(gather(record(1, 1), &mut rest, 3).await.len(), 3);
        assert_eq!(gather(record(4, 1), &mut rest, 100).await.len(), 7);
        let mut heavy = stream::iter((2..10).map(|sequence| record(sequence, GATHER_BYTES / 2)));
        assert_eq!(gather(record(1, 1), &mut heavy, 100).await.len(), 3);
    }
}
