//! Messages for later: kept by the server, moved to their stream when due, never before.
//!
//! They have a stream of their own, because a stream with schedules cannot refuse new messages when it is full, and a
//! queue must (nats-server 2.15.1, error 10052, tried 2026-11-20).

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use prost::Message;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::sync::CancellationToken;

use async_nats::jetstream::{message::StreamMessage, stream::RawMessageErrorKind};

use crate::{
    Bus, Delivery, Error, Outcome, Source, Stored, consume, follow::milliseconds, publish::headers,
};

/// The stream of schedules and of what is due.
pub(crate) const STREAM: &str = "LATER";
/// Where due messages appear, before their priority.
const DUE: &str = "later.due";

/// What schedules lie under, by the hash of their id.
const AT: &str = "later.at";
/// Header that says when.
const WHEN: &str = "Nats-Schedule";
/// Schedules read for one list.
const MAX_READ: usize = 10_000;
/// Schedules read at once.
const AT_ONCE: usize = 32;

/// A message that waits for its time.
#[derive(Clone, PartialEq, Message)]
struct Waiting {
    /// Where it is published when due.
    #[prost(string, tag = "1")]
    subject: String,
    /// Its id then.
    #[prost(string, tag = "2")]
    id: String,
    /// Itself.
    #[prost(bytes = "bytes", tag = "3")]
    payload: bytes::Bytes,
}

/// A message that waits for its time, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its id: the name by which it is cancelled.
    pub id: String,
    /// Where it will be published.
    pub subject: String,
    /// When, Unix epoch.
    pub at_ms: i64,
    /// What it will say.
    pub payload: bytes::Bytes,
}

impl Bus {
    /// The schedules that are not due yet, the next one first, `limit` at most; and how many there are.
    ///
    /// Costs a round trip for each. Of more than 10 000 some are not looked at.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn schedules(&self, limit: usize) -> Result<(Vec<Schedule>, usize), Error> {
        let context = &self.inner.context;
        let stream = context
            .get_stream_no_info(STREAM)
            .await
            .map_err(Error::away)?;
        let subjects = stream.info_with_subjects(format!("{AT}.>"));
        let subjects = subjects.await.map_err(Error::away)?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.map_err(Error::away)?;
        let (stream, count) = (&stream, subjects.len());
        let subjects = subjects.into_iter().take(MAX_READ);
        let read = |(subject, _): (String, usize)| async move {
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(schedule_of(&message)),
                // Due or cancelled since the list was made.
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => {
                    Ok(None)
                }
                Err(error) => Err(Error::away(error)),
            }
        };
        let read = stream::iter(subjects).map(read).buffer_unordered(AT_ONCE);
        let read: Vec<_> = read.try_collect().await?;
        let mut schedules: Vec<_> = read.into_iter().flatten().collect();
        schedules.sort_by(|a, b| (a.at_ms, &a.id).cmp(&(b.at_ms, &b.id)));
        schedules.truncate(limit);
        Ok((schedules, count))
    }

    /// Stores `message`, to be published under `subject` at `at_ms` (Unix epoch), never before.
    ///
    /// The same `id` replaces an earlier schedule; [`Bus::cancel`] removes it. Somebody must run [`move_due`].
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn publish_at<M: Message>(
        &self,
        subject: &str,
        id: &str,
        message: &M,
        at_ms: i64,
    ) -> Result<Stored, Error> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .ok_or_else(|| Error::Invalid(format!("{at_ms} is no time of this calendar")))?;
        let mut headers = headers(&format!("at-{id}-{at_ms}"));
        headers.insert(WHEN, format!("@at {at}").as_str());
        // Due ones go before what is queued, hence the priority.
        headers.insert(
            "Nats-Schedule-Target",
            format!("{DUE}.h.{subject}").as_str(),
        );
        let payload = message.encode_to_vec().into();
        let waiting = Waiting {
            subject: subject.into(),
            id: id.into(),
            payload,
        };
        self.put(&schedule(id), waiting.encode_to_vec().into(), headers)
            .await
    }

    /// Removes a schedule that is not due yet; false when there was none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn cancel(&self, id: &str) -> Result<bool, Error> {
        let stream = self
            .inner
            .context
            .get_stream_no_info(STREAM)
            .await
            .map_err(Error::away)?;
        let purged = stream
            .purge()
            .filter(schedule(id))
            .await
            .map_err(Error::away)?;
        Ok(purged.purged > 0)
    }
}

/// Publishes messages whose time has come, until `stop`. Any number of processes may do it: one at a time does.
///
/// # Errors
/// As [`consume`].
pub async fn move_due(bus: &Bus, stop: &CancellationToken) -> Result<(), Error> {
    let source = Source {
        stream: STREAM,
        group: "later".into(),
        shards: vec![DUE.into()],
        in_hand: 64,
    };
    let publish = |delivery: Delivery<Waiting>| async move {
        let Waiting {
            subject,
            id,
            payload,
        } = delivery.message;
        match bus.put(&subject, payload, headers(&id)).await {
            Ok(_) => Outcome::Ack,
            Err(Error::Invalid(why) | Error::Refused(why)) => Outcome::Dead(why),
            Err(Error::Unavailable(_) | Error::Full(_)) => Outcome::Retry(Duration::from_secs(1)),
        }
    };
    consume(
        bus,
        source,
        stop,
        |waiting: &Waiting| waiting.subject.clone(),
        publish,
    )
    .await
}

fn schedule(id: &str) -> String {
    format!("{AT}.{}", blake3::hash(id.as_bytes()).to_hex())
}

fn schedule_of(message: &StreamMessage) -> Option<Schedule> {
    let when = message.headers.get(WHEN)?.as_str();
    let at = OffsetDateTime::parse(when.strip_prefix("@at ")?, &Rfc3339).ok()?;
    let Waiting {
        subject,
        id,
        payload,
    } = Waiting::decode(message.payload.clone()).ok()?;
    Some(Schedule {
        id,
        subject,
        at_ms: milliseconds(at),
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_written_as_later_versions_read_it() {
        let golden = b"\x0a\x03out\x12\x02id\x1a\x02\x00\xff";
        let waiting = Waiting {
            subject: "out".into(),
            id: "id".into(),
            payload: bytes::Bytes::from_static(b"\x00\xff"),
        };
        assert_eq!(waiting.encode_to_vec(), golden);
        assert_eq!(Waiting::decode(&golden[..]).unwrap(), waiting);
    }
}
