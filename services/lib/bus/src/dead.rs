//! Dead letters: given up, kept whole with the reason.

use std::time::Duration;

use async_nats::jetstream;
use tracing::warn;

use crate::{Bus, Error};

/// The stream that a subject belongs to.
pub(crate) fn stream_of(subject: &str) -> String {
    subject.split('.').next().unwrap_or_default().to_uppercase()
}

/// Stores `message` in `DEAD` with the reason; back only when it is stored.
///
/// Headers: `Openclaw-Reason`, `Openclaw-Attempts`, and those of the message.
pub(crate) async fn bury(bus: &Bus, message: &jetstream::Message, reason: &str, attempts: u32) {
    let sequence = message
        .info()
        .map(|info| info.stream_sequence)
        .unwrap_or_default();
    let mut headers = message.headers.clone().unwrap_or_default();
    let line = reason.replace(['\r', '\n'], " ");
    headers.insert("Openclaw-Reason", line.as_str());
    headers.insert("Openclaw-Attempts", attempts.to_string().as_str());
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
