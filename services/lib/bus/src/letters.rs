//! Dead letters for operators: listed, read, replayed to where they came from, dropped.

use std::collections::VecDeque;

use async_nats::{
    HeaderMap,
    jetstream::stream::{RawMessageErrorKind, Stream},
};
use bytes::Bytes;

use crate::{
    Bus, Error, Stored,
    dead::{self, ATTEMPTS, REASON, REPLAYS, SEQUENCE},
    follow::milliseconds,
    scan, trace,
};

/// The stream of dead letters.
const STREAM: &str = "DEAD";

/// A message that was given up, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its sequence in `DEAD`: its name for operators.
    pub sequence: u64,
    /// Where it was published.
    pub subject: String,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried; 0 when it could not be read.
    pub attempts: u32,
    /// How often it has been replayed before.
    pub replays: u32,
    /// Trace of its journey, 32 hex digits; empty where there was none.
    pub trace_id: String,
    /// When it was given up, Unix epoch.
    pub at_ms: i64,
    /// Size of its payload.
    pub size_bytes: u64,
    /// What it says; empty in lists.
    pub payload: Bytes,
    /// Sequence under which its stream had it first.
    first: u64,
    traceparent: String,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Stream that they came from, such as `OUT`; empty for all.
    pub stream: String,
    /// What their reason holds, in any case of letters; empty for all.
    pub reason: String,
    /// Only those up to this sequence; 0 for all.
    pub up_to: u64,
}

impl Wanted {
    fn filter(&self) -> Result<String, Error> {
        match self.stream.as_str() {
            "" => Ok("dead.>".into()),
            stream if stream.chars().all(|c| c.is_ascii_alphabetic()) => {
                Ok(format!("dead.{}.>", stream.to_lowercase()))
            }
            stream => Err(Error::Invalid(format!(
                "`{stream}` is no stream; dead letters come from IN, TURN, OUT and LATER"
            ))),
        }
    }
}

impl Letter {
    fn read(sequence: u64, subject: &str, at_ms: i64, headers: Option<&HeaderMap>) -> Self {
        let header = |name: &str| {
            let value = headers.and_then(|headers| headers.get(name));
            value.map(ToString::to_string).unwrap_or_default()
        };
        let traceparent = header(trace::HEADER);
        let trace_id = traceparent.parse::<trace::Trace>().map_or_else(
            |_| String::new(),
            |trace| format!("{:032x}", trace.trace_id),
        );
        Self {
            sequence,
            subject: subject.strip_prefix("dead.").unwrap_or(subject).to_owned(),
            reason: header(REASON),
            attempts: header(ATTEMPTS).parse().unwrap_or_default(),
            replays: header(REPLAYS).parse().unwrap_or_default(),
            trace_id,
            at_ms,
            size_bytes: header("Nats-Msg-Size").parse().unwrap_or_default(),
            payload: Bytes::new(),
            first: header(SEQUENCE).parse().unwrap_or_default(),
            traceparent,
        }
    }

    /// The stream that it came from.
    #[must_use]
    pub fn stream(&self) -> String {
        dead::stream_of(&self.subject)
    }
}

impl Bus {
    /// The newest `limit` dead letters that are meant, newest first, without their payloads.
    ///
    /// Reads the headers of all of them: for operators, not for a hot path.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Invalid`] for a stream that cannot be named.
    pub async fn dead_letters(&self, wanted: &Wanted, limit: usize) -> Result<Vec<Letter>, Error> {
        let mut newest = VecDeque::new();
        self.each_dead_letter(wanted, |letter| {
            newest.push_back(letter);
            if newest.len() > limit {
                newest.pop_front();
            }
        })
        .await?;
        Ok(newest.into_iter().rev().collect())
    }

    /// The oldest `limit` dead letters that are meant, oldest first, and how many more there are.
    ///
    /// # Errors
    /// As [`Bus::dead_letters`].
    pub async fn oldest_dead_letters(
        &self,
        wanted: &Wanted,
        limit: usize,
    ) -> Result<(Vec<Letter>, u64), Error> {
        let (mut oldest, mut more) = (Vec::new(), 0);
        self.each_dead_letter(wanted, |letter| {
            if oldest.len() < limit {
                oldest.push(letter);
            } else {
                more += 1;
            }
        })
        .await?;
        Ok((oldest, more))
    }

    async fn each_dead_letter(
        &self,
        wanted: &Wanted,
        mut each: impl FnMut(Letter),
    ) -> Result<(), Error> {
        let reason = wanted.reason.to_lowercase();
        scan::heads(self, STREAM, &wanted.filter()?, |message, info| {
            let (sequence, at_ms) = (info.stream_sequence, milliseconds(info.published));
            if wanted.up_to > 0 && sequence > wanted.up_to {
                return false;
            }
            let headers = message.headers.as_ref();
            let letter = Letter::read(sequence, &message.subject, at_ms, headers);
            if letter.reason.to_lowercase().contains(&reason) {
                each(letter);
            }
            true
        })
        .await
    }

    /// The dead letter of this sequence, whole.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn dead_letter(&self, sequence: u64) -> Result<Option<Letter>, Error> {
        let message = match self.dead_stream().await?.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::away(error)),
        };
        let at_ms = milliseconds(message.time);
        let headers = Some(&message.headers);
        Ok(Some(Letter {
            size_bytes: message.payload.len() as u64,
            payload: message.payload,
            ..Letter::read(sequence, &message.subject, at_ms, headers)
        }))
    }

    /// Publishes a dead letter where it was published before, then removes it from `DEAD`.
    ///
    /// `payload` is that of the letter, or what it is to say now. Done again after a crash in between, the message is
    /// there once. Whoever tells messages apart by [`crate::Delivery::sequence`] knows it as the same message.
    ///
    /// # Errors
    /// As [`Bus::publish`]; the letter is still in `DEAD`.
    pub async fn replay(&self, letter: &Letter, payload: Bytes) -> Result<Stored, Error> {
        let replays = letter.replays + 1;
        let mut headers = HeaderMap::new();
        let id = format!("replay-{}-{replays}", letter.sequence);
        headers.insert("Nats-Msg-Id", id.as_str());
        headers.insert(REPLAYS, replays.to_string().as_str());
        if letter.first > 0 {
            headers.insert(SEQUENCE, letter.first.to_string().as_str());
        }
        if !letter.traceparent.is_empty() {
            headers.insert(trace::HEADER, letter.traceparent.as_str());
        }
        let stored = self.put(&letter.subject, payload, headers).await?;
        metrics::counter!("openclaw_dead_letters_replayed_total", "stream" => letter.stream())
            .increment(1);
        self.drop_dead_letter(letter.sequence).await?;
        Ok(stored)
    }

    /// Removes a dead letter for good; false when there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn drop_dead_letter(&self, sequence: u64) -> Result<bool, Error> {
        let stream = self.dead_stream().await?;
        match stream.delete_message(sequence).await {
            Ok(dropped) => Ok(dropped),
            Err(error) => match self.dead_letter(sequence).await? {
                None => Ok(false),
                Some(_) => Err(Error::away(error)),
            },
        }
    }

    async fn dead_stream(&self) -> Result<Stream<()>, Error> {
        let context = &self.inner.context;
        context
            .get_stream_no_info(STREAM)
            .await
            .map_err(Error::away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_from_its_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(REASON, "Too Large: 9 MB");
        headers.insert(ATTEMPTS, "3");
        headers.insert(SEQUENCE, "17");
        headers.insert(
            trace::HEADER,
            "00-0000000000000000000000000000000a-000000000000000b-01",
        );
        let letter = Letter::read(5, "dead.out.telegram.main.n.ab", 9, Some(&headers));
        assert_eq!(letter.subject, "out.telegram.main.n.ab");
        assert_eq!(
            (letter.stream().as_str(), letter.attempts, letter.first),
            ("OUT", 3, 17)
        );
        assert_eq!(letter.trace_id, "0000000000000000000000000000000a");
    }

    #[test]
    fn a_letter_without_headers_is_a_letter() {
        let letter = Letter::read(5, "dead.in.0.n.x.y", 9, None);
        assert_eq!((letter.reason.as_str(), letter.trace_id.as_str()), ("", ""));
    }

    #[test]
    fn a_stream_is_named_or_refused() {
        let filter = |stream: &str| {
            Wanted {
                stream: stream.into(),
                ..Wanted::default()
            }
            .filter()
        };
        assert_eq!(filter("").unwrap(), "dead.>");
        assert_eq!(filter("OUT").unwrap(), "dead.out.>");
        assert!(matches!(filter("out.>"), Err(Error::Invalid(_))));
    }
}
