//! Which chunks an earlier owner of the account sent: the event that tells it is all there is.

use std::collections::HashMap;

use bus::{Bus, Error};
use proto::{
    id, subject,
    v1::{Event, event::What},
};
use tokio::sync::Mutex;

/// What was told before the oldest chunk in question is read too: the next one in question may be older.
const MARGIN_MS: i64 = 10_000;

/// Reads what was told of chunks, once an epoch where that is enough.
pub(crate) struct Recall {
    bus: Bus,
    read: Mutex<Read>,
}

/// What was told since a time, as read in an epoch.
#[derive(Default)]
struct Read {
    epoch: u64,
    since_ms: i64,
    sent: HashMap<String, String>,
}

impl Recall {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            bus: bus.clone(),
            read: Mutex::default(),
        }
    }

    /// The platform's id of the chunk `key`, which `owner` began to send at `begun_ms` by the clock of the bus; `None`
    /// if nobody told that it was sent. Asked by the owner of `epoch`.
    ///
    /// # Errors
    /// The bus is away.
    pub(crate) async fn sent(
        &self,
        key: &str,
        owner: u64,
        begun_ms: i64,
        epoch: u64,
    ) -> Result<Option<String>, Error> {
        let mut read = self.read.lock().await;
        // What this owner tells itself may be newer than what was read.
        let known = owner < epoch && read.epoch == epoch && read.since_ms <= begun_ms;
        if !known {
            let since_ms = begun_ms - MARGIN_MS;
            let told = self
                .bus
                .past::<Event>("EVENT", subject::SENT, since_ms)
                .await?;
            let sent = told
                .into_iter()
                .filter_map(|record| match record.message?.what? {
                    What::Sent(sent) => Some((
                        id::of_chunk(&sent.outbound_id, sent.chunk),
                        sent.platform_message_id,
                    )),
                    _ => None,
                });
            *read = Read {
                epoch,
                since_ms,
                sent: sent.collect(),
            };
        }
        Ok(read.sent.get(key).cloned())
    }
}
