//! Reading the headers of a stream's messages once, from the oldest to the newest.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, PullConsumer, pull},
    message::Info,
};
use futures_util::StreamExt;

use crate::{Bus, Error};

/// Messages asked for at once.
const BATCH: usize = 512;
/// A batch that is not there by then has been cut short.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shows `each` the subject and headers of every message under `filter`, until it says false.
///
/// Not for work queues: those have one reader.
///
/// # Errors
/// [`Error::Unavailable`]; some may have been shown.
pub(crate) async fn heads(
    bus: &Bus,
    stream: &str,
    filter: &str,
    each: impl FnMut(&jetstream::Message, &Info<'_>) -> bool,
) -> Result<(), Error> {
    let context = &bus.inner.context;
    let stream = context
        .get_stream_no_info(stream)
        .await
        .map_err(Error::away)?;
    let wish = pull::Config {
        ack_policy: AckPolicy::None,
        filter_subject: filter.into(),
        headers_only: true,
        inactive_threshold: Duration::from_secs(30),
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
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
