//! Messages for later: kept by the server, moved to their stream when due, never before.
//!
//! They have a stream of their own, because a stream with schedules cannot refuse new messages when it is full, and a
//! queue must (nats-server 2.15.1, error 10052, tried 2026-11-20).

use std::time::Duration;

use prost::Message;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::sync::CancellationToken;

use crate::{Bus, Delivery, Error, Outcome, Source, Stored, consume, publish::headers};

/// The stream of schedules and of what is due.
pub(crate) const STREAM: &str = "LATER";
/// Where due messages appear, before their priority.
const DUE: &str = "later.due";

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

impl Bus {
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
        headers.insert("Nats-Schedule", format!("@at {at}").as_str());
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
    format!("later.at.{}", blake3::hash(id.as_bytes()).to_hex())
}
