//! Dead letters: given up, kept whole with the reason.

use std::time::Duration;

use async_nats::jetstream;
use tracing::warn;

use crate::{Bus, Error};

/// Header of a dead letter: why it is one.
pub(crate) const REASON: &str = "Openclaw-Reason";
/// Header of a dead letter: how often it was tried.
pub(crate) const ATTEMPTS: &str = "Openclaw-Attempts";
/// Header of a dead letter and of its replay: the sequence under which its stream had it first.
pub(crate) const SEQUENCE: &str = "Openclaw-Sequence";
/// Header of a replay: how many there have been of this message.
pub(crate) const REPLAYS: &str = "Openclaw-Replays";

/// The sequence under which the stream had this message first, if this is a replay.
pub(crate) fn first_sequence(message: &jetstream::Message) -> Option<u64> {
    let headers = message.headers.as_ref()?;
    headers.get(REPLAYS)?;
    headers.get(SEQUENCE)?.as_str().parse().ok()
}

/// The stream that a subject belongs to.
pub(crate) fn stream_of(subject: &str) -> String {
    subject.split('.').next().unwrap_or_default().to_uppercase()
}

/// Stores `message` in `DEAD` with the reason; back only when it is stored.
///
/// Headers: [`REASON`], [`ATTEMPTS`], [`SEQUENCE`], and those of the message.
pub(crate) async fn bury(bus: &Bus, message: &jetstream::Message, reason: &str, attempts: u32) {
    let sequence = message
        .info()
        .map(|info| info.stream_sequence)
        .unwrap_or_default();
    let mut headers = message.headers.clone().unwrap_or_default();
    let line = reason.replace(['\r', '\n'], " ");
    headers.insert(REASON, line.as_str());
    headers.insert(ATTEMPTS, attempts.to_string().as_str());
    let first = first_sequence(message).unwrap_or(sequence);
    headers.insert(SEQUENCE, first.to_string().as_str());
    let id = format!("dead-{}-{sequence}", stream_of(&message.subject));
    headers.insert("Nats-Msg-Id", id.as_str());
    let subject = format!("dead.{}", message.subject);
    metrics::counter!("openclaw_dead_letters_total", "stream" => stream_of(&message.subject))
        .increment(1);
    warn!(subject = %message.subject, sequence, attempts, "dead letter: {line}");
    loop {
        match bus
            .put(&subject, message.payload.clone(), headers.clone())
            .await
        {
            Ok(_) => return,
            Err(error @ (Error::Unavailable(_) | Error::Full(_))) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "dead letter waits for the bus"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => {
                // It cannot be stored as it is; without its body it can.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "dead letter kept without its body"
                );
                if bus
                    .put(&subject, bytes::Bytes::new(), headers.clone())
                    .await
                    .is_ok()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
