//! Buckets: small durable records with revisions.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{self, message::StreamMessage, stream::DirectGetErrorKind},
};
use futures_util::{Stream, stream};
use prost::Message;

use crate::{
    Bus, Error,
    follow::milliseconds,
    publish::{STALE, headers},
    pull::{Begin, Reader},
    streams::MIB,
};

/// The buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Who owns which shard; the revision is the epoch.
    Owners,
    /// One chunk of an outbound on its way, three days.
    Intents,
    /// State of each account's connection.
    Connections,
    /// People who asked to be let in, and those who were.
    People,
    /// Paired devices.
    Devices,
    /// Settings that change at run time.
    Config,
    /// Keys under which operators sent messages, a week.
    Sends,
    /// What seals the links of the canvas.
    Canvas,
    /// Nodes: what was approved of them, where they are connected.
    Nodes,
    /// What operators set for sessions.
    Sessions,
    /// Agents that operators made.
    Agents,
    /// Jobs that run by the clock.
    Jobs,
    /// What became of runs of jobs, 30 days.
    Runs,
    /// What agents look at with their next heartbeat, and the last one.
    Heartbeats,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Owners,
        Self::Intents,
        Self::Connections,
        Self::People,
        Self::Devices,
        Self::Config,
        Self::Sends,
        Self::Nodes,
        Self::Sessions,
        Self::Agents,
        Self::Canvas,
        Self::Jobs,
        Self::Runs,
        Self::Heartbeats,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Intents => "intents",
            Self::Connections => "connections",
            Self::People => "people",
            Self::Devices => "devices",
            Self::Config => "config",
            Self::Sends => "sends",
            Self::Canvas => "canvas",
            Self::Nodes => "nodes",
            Self::Sessions => "sessions",
            Self::Agents => "agents",
            Self::Jobs => "jobs",
            Self::Runs => "runs",
            Self::Heartbeats => "heartbeats",
        }
    }

    pub(crate) fn stream(self) -> String {
        format!("KV_{}", self.name())
    }

    /// How long a record is kept; zero is for good.
    pub(crate) fn lifetime(self) -> Duration {
        match self {
            Self::Intents => Duration::from_secs(3 * 24 * 60 * 60),
            Self::Sends => Duration::from_secs(7 * 24 * 60 * 60),
            Self::Runs => Duration::from_secs(30 * 24 * 60 * 60),
            _ => Duration::ZERO,
        }
    }

    /// What it may grow to, in bytes. The server sets that much aside, so it is no more than is needed.
    pub(crate) fn most_bytes(self) -> i64 {
        match self {
            // What every message writes.
            Self::Intents | Self::Sends => 256 * MIB,
            Self::Heartbeats => 8 * MIB,
            _ => 64 * MIB,
        }
    }
}

/// A bucket, opened. Keys hold letters, digits and `. _ = - /`.
#[derive(Clone)]
pub struct Store {
    bus: Bus,
    bucket: Bucket,
}

impl Bus {
    /// Opens a bucket; no call is made.
    #[must_use]
    pub fn bucket(&self, bucket: Bucket) -> Store {
        Store {
            bus: self.clone(),
            bucket,
        }
    }
}

impl Store {
    /// The record of `key` and its revision.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or [`Error::Invalid`] for a record that is not of this type.
    pub async fn get<M: Message + Default>(&self, key: &str) -> Result<Option<(M, u64)>, Error> {
        let dated = self.dated(key).await?;
        Ok(dated.map(|(record, revision, _)| (record, revision)))
    }

    /// As [`Store::get`], and when the server stored it, Unix epoch.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn dated<M: Message + Default>(
        &self,
        key: &str,
    ) -> Result<Option<(M, u64, i64)>, Error> {
        let Some(message) = self.last(key).await? else {
            return Ok(None);
        };
        if removal(Some(&message.headers)) {
            return Ok(None);
        }
        let record = M::decode(message.payload)
            .map_err(|_| Error::Invalid(format!("`{key}` holds a record of another type")))?;
        let at_ms = milliseconds(message.time);
        Ok(Some((record, message.sequence, at_ms)))
    }

    /// Stores the record whatever was there; its revision.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn put<M: Message>(&self, key: &str, record: &M) -> Result<u64, Error> {
        let id = uuid::Uuid::new_v4().to_string();
        let payload = record.encode_to_vec().into();
        Ok(self
            .bus
            .put(&self.subject(key)?, payload, headers(&id))
            .await?
            .sequence)
    }

    /// Stores the record if there is none: its revision, or `None` if there was one.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn create<M: Message + Default>(
        &self,
        key: &str,
        record: &M,
    ) -> Result<Option<u64>, Error> {
        if let Some(revision) = self.update(key, record, 0).await? {
            return Ok(Some(revision));
        }
        // A deleted record leaves a mark with a revision of its own.
        match self.last(key).await? {
            Some(message) if removal(Some(&message.headers)) => {
                self.update(key, record, message.sequence).await
            }
            _ => Ok(None),
        }
    }

    /// Stores the record if the newest revision is `revision`: the new one, or `None` if somebody was faster.
    ///
    /// Repeated while the server is away; a repetition of a write that was stored counts as that write.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn update<M: Message>(
        &self,
        key: &str,
        record: &M,
        revision: u64,
    ) -> Result<Option<u64>, Error> {
        let mut headers = headers(&uuid::Uuid::new_v4().to_string());
        headers.insert(
            "Nats-Expected-Last-Subject-Sequence",
            revision.to_string().as_str(),
        );
        match self
            .bus
            .put(&self.subject(key)?, record.encode_to_vec().into(), headers)
            .await
        {
            Ok(stored) => Ok(Some(stored.sequence)),
            Err(Error::Invalid(why)) if why == STALE => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the record; removing none is no error.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        let mut headers = headers(&uuid::Uuid::new_v4().to_string());
        headers.insert("KV-Operation", "DEL");
        self.bus
            .put(&self.subject(key)?, bytes::Bytes::new(), headers)
            .await?;
        Ok(())
    }

    /// All records with their keys and revisions.
    ///
    /// # Errors
    /// [`Error::Unavailable`]. Records that are not of this type are left out.
    pub async fn all<M: Message + Default>(&self) -> Result<Vec<(String, M, u64)>, Error> {
        self.read(self.reader()).await
    }

    /// All records whose keys begin with `prefix` and a dot, as [`Store::all`].
    ///
    /// # Errors
    /// As [`Store::all`], and [`Error::Invalid`] for a prefix that is no key.
    pub async fn under<M: Message + Default>(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, M, u64)>, Error> {
        let filter = format!("{}.>", self.subject(prefix)?);
        let stream = self.bucket.stream();
        self.read(Reader::new(&self.bus, &stream, &filter, Begin::Newest))
            .await
    }

    async fn read<M: Message + Default>(
        &self,
        mut reader: Reader,
    ) -> Result<Vec<(String, M, u64)>, Error> {
        let mut records = Vec::new();
        for _ in 0..reader.open().await? {
            let message = reader.next().await;
            let Ok(info) = message.info() else { continue };
            let revision = info.stream_sequence;
            if let (key, Some(record)) = self.change(&message) {
                records.push((key, record, revision));
            }
        }
        Ok(records)
    }

    /// First every record that is there, then each change as it comes; `None` is a removal.
    ///
    /// Goes on through any loss of the server. Records that are not of this type are told as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened now.
    pub async fn watch<M: Message + Default + 'static>(
        &self,
    ) -> Result<impl Stream<Item = (String, Option<M>)> + Send + Unpin + 'static, Error> {
        let mut reader = self.reader();
        reader.open().await?;
        let changes = stream::unfold((reader, self.clone()), |(mut reader, store)| async move {
            let message = reader.next().await;
            Some((store.change(&message), (reader, store)))
        });
        Ok(Box::pin(changes))
    }

    /// The newest revision of the bucket: whatever is written later has a higher one.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn newest_revision(&self) -> Result<u64, Error> {
        Ok(self.bus.stream_state(&self.bucket.stream()).await?.last)
    }

    /// Removes all records that were last changed at or before `revision`, but those that `keep` wants: these are
    /// written again. Returns how many it kept.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may be removed; call again.
    pub async fn forget<M: Message + Default>(
        &self,
        revision: u64,
        keep: impl Fn(&M) -> bool,
    ) -> Result<usize, Error> {
        let filter = format!("$KV.{}.>", self.bucket.name());
        let mut reader = Reader::new(&self.bus, &self.bucket.stream(), &filter, Begin::After(0));
        let (mut kept, mut waiting) = (0, reader.open().await?);
        while waiting > 0 {
            let message = reader.next().await;
            let Ok(info) = message.info() else { continue };
            if info.stream_sequence > revision {
                break;
            }
            waiting = info.pending;
            if let (key, Some(record)) = self.change::<M>(&message)
                && keep(&record)
            {
                self.update(&key, &record, info.stream_sequence).await?;
                kept += 1;
            }
        }
        let context = &self.bus.inner.context;
        let name = self.bucket.stream();
        let stream = context
            .get_stream_no_info(name)
            .await
            .map_err(Error::away)?;
        stream
            .purge()
            .sequence(revision + 1)
            .await
            .map_err(Error::away)?;
        Ok(kept)
    }

    pub(crate) fn reader(&self) -> Reader {
        let filter = format!("$KV.{}.>", self.bucket.name());
        Reader::new(&self.bus, &self.bucket.stream(), &filter, Begin::Newest)
    }

    pub(crate) fn change<M: Message + Default>(
        &self,
        message: &jetstream::Message,
    ) -> (String, Option<M>) {
        let prefix = self.bucket.name().len() + "$KV..".len();
        let key = message.subject.get(prefix..).unwrap_or_default().to_owned();
        if removal(message.headers.as_ref()) {
            return (key, None);
        }
        (key, M::decode(message.payload.clone()).ok())
    }

    fn subject(&self, key: &str) -> Result<String, Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || "._=-/".contains(c);
        if key.is_empty() || !key.chars().all(good) || key.starts_with('.') || key.ends_with('.') {
            return Err(Error::Invalid(format!("`{key}` is no key of a bucket")));
        }
        Ok(format!("$KV.{}.{key}", self.bucket.name()))
    }

    async fn last(&self, key: &str) -> Result<Option<StreamMessage>, Error> {
        let context = &self.bus.inner.context;
        let name = self.bucket.stream();
        let stream = context
            .get_stream_no_info(name)
            .await
            .map_err(Error::away)?;
        match stream.direct_get_last_for_subject(self.subject(key)?).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if matches!(error.kind(), DirectGetErrorKind::NotFound) => Ok(None),
            Err(error) => Err(Error::away(error)),
        }
    }
}

fn removal(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get("KV-Operation").is_some())
}
