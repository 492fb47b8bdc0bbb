//! Publishing: back when the stream has it, repeated under the same id while the server is away.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind, message::PublishMessage, publish::PublishAck},
};
use bytes::Bytes;
use prost::Message;

use crate::{Bus, Error, trace};

/// What the stream says of a stored message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// The stream had a message of this id already; nothing was added.
    pub duplicate: bool,
}

impl Bus {
    /// Stores `message` under `subject`; `id` makes a repetition within a minute a no-op.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: unknown whether it is stored, call again with the same id. [`Error::Full`]: not
    /// stored. [`Error::Invalid`]: too large.
    pub async fn publish<M: Message>(
        &self,
        subject: &str,
        id: &str,
        message: &M,
    ) -> Result<Stored, Error> {
        self.put(subject, message.encode_to_vec().into(), headers(id))
            .await
    }

    pub(crate) async fn put(
        &self,
        subject: &str,
        payload: Bytes,
        headers: HeaderMap,
    ) -> Result<Stored, Error> {
        let ack = self.put_once_stored(subject, payload, headers).await?;
        Ok(Stored {
            sequence: ack.sequence,
            duplicate: ack.duplicate,
        })
    }

    async fn put_once_stored(
        &self,
        subject: &str,
        payload: Bytes,
        headers: HeaderMap,
    ) -> Result<PublishAck, Error> {
        let deadline = tokio::time::Instant::now() + self.inner.settings.patience;
        let mut pause = Duration::from_millis(20);
        loop {
            // `headers` first: it replaces the whole map.
            let message = PublishMessage::build()
                .headers(headers.clone())
                .payload(payload.clone());
            let outcome = match self
                .inner
                .context
                .send_publish(subject.to_owned(), message)
                .await
            {
                Ok(ack) => ack.await,
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(ack) => return Ok(ack),
                Err(error) => error,
            };
            match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => {
                    return Err(Error::Invalid(format!(
                        "message of {} bytes is too large",
                        payload.len()
                    )));
                }
                PublishErrorKind::WrongLastSequence => return Err(Error::Invalid(STALE.into())),
                PublishErrorKind::Other => match refusal(&error) {
                    Refusal::Full => return Err(Error::Full(subject.to_owned())),
                    Refusal::TooLarge => {
                        return Err(Error::Invalid(format!(
                            "message of {} bytes is too large",
                            payload.len()
                        )));
                    }
                    Refusal::Stale => return Err(Error::Invalid(STALE.into())),
                    Refusal::Unclear => {}
                },
                _ => {}
            }
            if tokio::time::Instant::now() + pause >= deadline {
                return Err(Error::away(error));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

/// The key-value revision was not the expected one.
pub(crate) const STALE: &str = "wrong last sequence";

enum Refusal {
    Full,
    TooLarge,
    Stale,
    Unclear,
}

/// Sorts the server's refusals by their codes: 10077 limits, 10054 message size, 10071 and 10164 sequence.
///
/// Source: nats-server `server/errors.json`, 2.15.
fn refusal(error: &async_nats::jetstream::context::PublishError) -> Refusal {
    let text = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    if text.contains("maximum messages")
        || text.contains("maximum bytes")
        || text.contains("insufficient")
    {
        Refusal::Full
    } else if text.contains("message size exceeds") {
        Refusal::TooLarge
    } else if text.contains("wrong last") {
        Refusal::Stale
    } else {
        Refusal::Unclear
    }
}

pub(crate) fn headers(id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    if let Some(trace) = trace::current() {
        headers.insert(trace::HEADER, trace.step().to_string().as_str());
    }
    headers
}
