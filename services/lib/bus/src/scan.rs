//! Reading what a stream holds once, from the oldest to the newest.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    message::Info,
};
use futures_util::StreamExt;
use prost::Message;
use time::OffsetDateTime;

use crate::{Bus, Error, Record, bundle, follow};

/// Messages asked for at once.
const BATCH: usize = 512;
/// A batch that is not there by then has been cut short.
const PATIENCE: Duration = Duration::from_secs(2);

impl Bus {
    /// What `stream` holds under `filter` since `since_ms` (Unix epoch), the oldest first.
    ///
    /// Holds all of it in memory: for what is rare. Not for work queues, which have one reader.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn past<M: Message + Default>(
        &self,
        stream: &str,
        filter: &str,
        since_ms: i64,
    ) -> Result<Vec<Record<M>>, Error> {
        let since = OffsetDateTime::from_unix_timestamp_nanos(i128::from(since_ms) * 1_000_000);
        let wish = pull::Config {
            deliver_policy: match since {
                Ok(start_time) => DeliverPolicy::ByStartTime { start_time },
                Err(_) => DeliverPolicy::All,
            },
            // A bundle may hold some.
            filter_subject: String::new(),
            filter_subjects: vec![filter.into(), bundle::subject(filter)],
            ..wish(filter)
        };
        let mut records = Vec::new();
        scan(self, stream, wish, |message, _| {
            let held = follow::records(message).into_iter();
            records.extend(held.filter(|record| bundle::means(filter, &record.subject)));
            true
        })
        .await?;
        Ok(records)
    }

    /// What `stream` holds under any of `filters` after the sequence `after` and up to `upto`, the oldest first; `None`
    /// when that is more than `most`, or the stream has dropped some of what was there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn between<M: Message + Default>(
        &self,
        stream: &str,
        filters: &[&str],
        after: u64,
        upto: u64,
        most: usize,
    ) -> Result<Option<Vec<Record<M>>>, Error> {
        if self.stream_state(stream).await?.first > after.saturating_add(1) {
            return Ok(None);
        }
        let own = filters.iter().map(|&filter| filter.to_owned());
        let bundles = filters.iter().map(|filter| bundle::subject(filter));
        let subjects: BTreeSet<_> = own.chain(bundles).collect();
        let wish = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: after.saturating_add(1),
            },
            // Bundles may hold some.
            filter_subjects: subjects.into_iter().collect(),
            ..wish("")
        };
        let mut records: Vec<Record<M>> = Vec::new();
        scan(self, stream, wish, |message, info| {
            if info.stream_sequence > upto || records.len() > most {
                return false;
            }
            let held = follow::records(message).into_iter();
            let meant = |record: &Record<M>| {
                let mut filters = filters.iter();
                filters.any(|filter| bundle::means(filter, &record.subject))
            };
            records.extend(held.filter(meant));
            info.stream_sequence < upto
        })
        .await?;
        Ok((records.len() <= most).then_some(records))
    }
}

/// Shows `each` the subject and headers of every message under `filter`, until it says false.
///
/// # Errors
/// [`Error::Unavailable`]; some may have been shown.
pub(crate) async fn heads(
    bus: &Bus,
    stream: &str,
    filter: &str,
    each: impl FnMut(&jetstream::Message, &Info<'_>) -> bool,
) -> Result<(), Error> {
    let wish = pull::Config {
        headers_only: true,
        ..wish(filter)
    };
    scan(bus, stream, wish, each).await
}

fn wish(filter: &str) -> pull::Config {
    pull::Config {
        ack_policy: AckPolicy::None,
        filter_subject: filter.into(),
        inactive_threshold: Duration::from_secs(30),
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

async fn scan(
    bus: &Bus,
    stream: &str,
    wish: pull::Config,
    each: impl FnMut(&jetstream::Message, &Info<'_>) -> bool,
) -> Result<(), Error> {
    let context = &bus.inner.context;
    let stream = context
        .get_stream_no_info(stream)
        .await
        .map_err(Error::away)?;
    let mut consumer = stream.create_consumer(wish).await.map_err(Error::away)?;
    let outcome = read(&mut consumer, each).await;
    // It would go by itself, only later.
    let _ = stream.delete_consumer(&consumer.cached_info().name).await;
    outcome
}

async fn read(
    consumer: &mut PullConsumer,
    mut each: impl FnMut(&jetstream::Message, &Info<'_>) -> bool,
) -> Result<(), Error> {
    let mut left = consumer.cached_info().num_pending;
    while left > 0 {
        let batch = consumer.fetch().max_messages(BATCH).expires(PATIENCE);
        let mut batch = batch.messages().await.map_err(Error::away)?;
        let before = left;
        while let Some(message) = batch.next().await {
            let message = message.map_err(Error::away)?;
            let info = message.info().map_err(Error::away)?;
            left = info.pending;
            if !each(&message, &info) {
                return Ok(());
            }
        }
        if left == before {
            // What was to come may have grown too old meanwhile.
            left = consumer.info().await.map_err(Error::away)?.num_pending;
            if left == before {
                return Err(Error::away("the server stopped reading"));
            }
        }
    }
    Ok(())
}
