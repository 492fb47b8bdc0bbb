//! Records that come faster than their stream stores them share one of its writes.
//!
//! A stream stores one message after the other and syncs each to disk, so what many handlers tell at the same time
//! waits in line. While one write is under way, whatever else is to be recorded is gathered and travels as one message.

use std::sync::{Arc, Weak};

use async_nats::HeaderMap;
use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, oneshot};

use crate::{Bus, Error, connect::Inner, publish};

/// Says of a message that it is a bundle.
const HEADER: &str = "Openclaw-Bundle";
/// Records that may wait; more wait outside.
const WAITING: usize = 4096;
/// Most records of one bundle.
const MOST: usize = 256;
/// A bundle that is this large is complete.
const MOST_BYTES: usize = 256 * 1024;

/// Several records in one message of a stream.
#[derive(Clone, PartialEq, Message)]
struct Bundle {
    #[prost(message, repeated, tag = "1")]
    records: Vec<Bundled>,
}

/// One of them.
#[derive(Clone, PartialEq, Message)]
struct Bundled {
    #[prost(string, tag = "1")]
    subject: String,
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
}

/// A record that waits to be stored, and who waits for that.
struct Waiting {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    done: oneshot::Sender<Result<(), Error>>,
}

/// Where records wait. The task behind it ends with the last clone of the bus.
#[derive(Debug)]
pub(crate) struct Bundler {
    waiting: mpsc::Sender<Waiting>,
}

impl Bundler {
    /// Begins to store what comes in, on the connection of `inner`.
    pub(crate) fn begin(inner: Weak<Inner>) -> Self {
        let (waiting, comes) = mpsc::channel(WAITING);
        tokio::spawn(store(inner, comes));
        Self { waiting }
    }
}

impl Bus {
    /// Stores `message` under `subject` as [`Bus::publish`] does, but perhaps together with others, when a repetition
    /// is stored again: for what its readers know by an id of its own.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn record<M: Message>(
        &self,
        subject: &str,
        id: &str,
        message: &M,
    ) -> Result<(), Error> {
        let (done, stored) = oneshot::channel();
        let waiting = Waiting {
            subject: subject.to_owned(),
            headers: publish::headers(id),
            payload: message.encode_to_vec().into(),
            done,
        };
        let gone = || Error::away("the process is ending");
        let sent = self.inner.bundler.waiting.send(waiting).await;
        sent.map_err(|_| gone())?;
        stored.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn store(inner: Weak<Inner>, mut comes: mpsc::Receiver<Waiting>) {
    while let Some(first) = comes.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        let mut bytes = first.payload.len();
        let mut batch = vec![first];
        while batch.len() < MOST
            && bytes < MOST_BYTES
            && let Ok(next) = comes.try_recv()
        {
            bytes += next.payload.len();
            batch.push(next);
        }
        store_batch(&Bus { inner }, batch).await;
    }
}

async fn store_batch(bus: &Bus, mut batch: Vec<Waiting>) {
    if let [_] = batch.as_slice()
        && let Some(only) = batch.pop()
    {
        let stored = bus.put(&only.subject, only.payload, only.headers).await;
        // Whoever does not wait any more does not need to know.
        let _ = only.done.send(stored.map(drop));
        return;
    }
    let records = batch.iter().map(|waiting| Bundled {
        subject: waiting.subject.clone(),
        payload: waiting.payload.clone(),
    });
    let bundle = Bundle {
        records: records.collect(),
    };
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", uuid::Uuid::new_v4().to_string().as_str());
    headers.insert(HEADER, "1");
    let subject = subject(&batch[0].subject);
    let stored = bus
        .put(&subject, bundle.encode_to_vec().into(), headers)
        .await
        .map(drop);
    let why = stored.map_err(Arc::new);
    for waiting in batch {
        let _ = waiting
            .done
            .send(why.clone().map_err(|error| again(&error)));
    }
}

/// The same error for each who waited.
fn again(error: &Arc<Error>) -> Error {
    match &**error {
        Error::Unavailable(_) => Error::away(error.clone()),
        Error::Full(what) => Error::Full(what.clone()),
        Error::Refused(why) => Error::Refused(why.clone()),
        Error::Invalid(why) => Error::Invalid(why.clone()),
    }
}

/// Under what a bundle is stored that holds a record of `subject`.
pub(crate) fn subject(subject: &str) -> String {
    let root = subject.split('.').next().unwrap_or_default();
    format!("{root}.bundle")
}

/// What a message holds: itself, or the records of a bundle, each with its subject. What cannot be read is nothing.
pub(crate) fn open(message: &async_nats::Message) -> Vec<(String, Bytes)> {
    let bundled = message.headers.as_ref();
    if bundled.is_none_or(|headers| headers.get(HEADER).is_none()) {
        return vec![(message.subject.to_string(), message.payload.clone())];
    }
    let Ok(bundle) = Bundle::decode(message.payload.clone()) else {
        tracing::warn!(subject = %message.subject, "left out a bundle that cannot be read");
        return Vec::new();
    };
    let records = bundle.records.into_iter();
    records
        .map(|record| (record.subject, record.payload))
        .collect()
}

/// Whether `subject` is one of those that `filter` means.
pub(crate) fn means(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_means_what_the_server_takes_it_for() {
        assert!(means("event.unsure.>", "event.unsure.telegram.x"));
        assert!(!means("event.unsure.>", "event.unsure"));
        assert!(!means("event.unsure.>", "event.sent.telegram.x"));
        assert!(means("event.*.telegram.x", "event.sent.telegram.x"));
        assert!(!means("event.*", "event.sent.telegram"));
        assert!(means("event.sent", "event.sent"));
    }

    #[test]
    fn each_who_waited_is_told_the_same() {
        let told = again(&Arc::new(Error::Full("event.a".into())));
        assert!(matches!(told, Error::Full(subject) if subject == "event.a"));
    }
}
