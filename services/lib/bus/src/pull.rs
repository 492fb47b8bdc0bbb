//! Reading a stream from its start or its end without acknowledging: rebuilt by itself whenever it breaks.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, pull},
};
use futures_util::StreamExt;
use tokio::sync::watch;
use tracing::debug;

use crate::{Bus, Error};

/// How often an idle server says that it is there.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long one pull request stands.
pub(crate) const EXPIRES: Duration = Duration::from_secs(10);
/// Messages asked for at once. Never 1: the client then stalls now and then (async-nats 0.51).
pub(crate) const BATCH: usize = 64;

/// Where reading begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// With the first message after this sequence.
    After(u64),
    /// With the newest message of each subject.
    Newest,
}

/// Reads a stream in order, for ever.
pub(crate) struct Reader {
    bus: Bus,
    stream: String,
    filter: String,
    begin: Begin,
    open: Option<Open>,
    connections: watch::Receiver<u64>,
}

struct Open {
    messages: pull::Stream,
    delivered: u64,
}

impl Reader {
    pub(crate) fn new(bus: &Bus, stream: &str, filter: &str, begin: Begin) -> Self {
        let connections = bus.inner.connections.clone();
        Self {
            bus: bus.clone(),
            stream: stream.into(),
            filter: filter.into(),
            begin,
            open: None,
            connections,
        }
    }

    /// Opens the reader now; how many messages wait.
    pub(crate) async fn open(&mut self) -> Result<u64, Error> {
        let deliver_policy = match self.begin {
            Begin::After(sequence) => DeliverPolicy::ByStartSequence {
                start_sequence: sequence + 1,
            },
            Begin::Newest => DeliverPolicy::LastPerSubject,
        };
        self.connections.mark_unchanged();
        let context = &self.bus.inner.context;
        let stream = context
            .get_stream_no_info(&self.stream)
            .await
            .map_err(Error::away)?;
        let wish = pull::Config {
            deliver_policy,
            ack_policy: AckPolicy::None,
            filter_subject: self.filter.clone(),
            inactive_threshold: Duration::from_secs(60),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(wish).await.map_err(Error::away)?;
        let waiting = consumer.cached_info().num_pending;
        let builder = consumer.stream().max_messages_per_batch(4 * BATCH);
        let messages = builder
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(Error::away)?;
        self.open = Some(Open {
            messages,
            delivered: 0,
        });
        Ok(waiting)
    }

    /// The next message; waits for it, through any loss of the server.
    pub(crate) async fn next(&mut self) -> jetstream::Message {
        let mut pause = Duration::from_millis(50);
        loop {
            let Some(open) = &mut self.open else {
                if let Err(error) = self.open().await {
                    debug!(
                        error = &error as &dyn std::error::Error,
                        "reader of {} waits", self.stream
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                continue;
            };
            let next = tokio::select! {
                next = open.messages.next() => next,
                _ = self.connections.changed() => None,
            };
            let Some(Ok(message)) = next else {
                self.open = None;
                continue;
            };
            let Ok(info) = message.info() else { continue };
            if info.consumer_sequence != open.delivered + 1 {
                self.open = None;
                continue;
            }
            open.delivered += 1;
            self.begin = Begin::After(info.stream_sequence);
            return message;
        }
    }
}
