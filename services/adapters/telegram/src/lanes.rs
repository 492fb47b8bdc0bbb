//! Puts updates on the bus: in order within a conversation, conversations side by side.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use adapter::{Error, Inbox};
use futures_util::{StreamExt, TryStreamExt, stream};
use proto::v1::Inbound;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::{
    api::Api,
    files::{self, Limits},
};

/// How many conversations are worked on at once.
const MAX_LANES: usize = 32;
/// After how many new conversations the forgotten ones are swept out.
const SWEEP_EVERY: usize = 256;

/// Stores all of `updates`; returns once the last is on the bus.
///
/// # Errors
/// When the inbox gives up: none of the updates may be confirmed then.
pub(crate) async fn publish(
    api: &Api,
    inbox: &Inbox,
    limits: Limits,
    updates: Vec<Inbound>,
) -> Result<(), Error> {
    let mut lanes: Vec<Vec<Inbound>> = Vec::new();
    let mut lane_of = HashMap::new();
    for update in updates {
        let lane = *lane_of
            .entry(conversation(&update).to_owned())
            .or_insert(lanes.len());
        match lanes.get_mut(lane) {
            Some(lane) => lane.push(update),
            None => lanes.push(vec![update]),
        }
    }
    let work = lanes.into_iter().map(|lane| async move {
        for mut update in lane {
            files::fetch(api, inbox.media(), limits, &mut update).await;
            inbox.accept(update).await?;
        }
        Ok(())
    });
    stream::iter(work)
        .buffer_unordered(MAX_LANES)
        .try_collect()
        .await
}

/// The conversation of an update; updates without one share a lane.
pub(crate) fn conversation(update: &Inbound) -> &str {
    update
        .address
        .as_ref()
        .map_or("", |address| &address.conversation)
}

/// Turns that callers take in the order in which they asked, one queue for each conversation.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queues: Mutex<HashMap<String, Weak<Turn<()>>>>,
}

impl Turns {
    /// Waits until everyone who asked before for the same conversation is done.
    pub(crate) async fn take(&self, conversation: &str) -> OwnedMutexGuard<()> {
        self.queue(conversation).lock_owned().await
    }

    fn queue(&self, conversation: &str) -> Arc<Turn<()>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(conversation).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() >= SWEEP_EVERY {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::new(Turn::new(()));
        queues.insert(conversation.to_owned(), Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_come_in_the_order_of_asking_and_only_within_a_conversation() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        turns.take("b").await;
        let mut second = std::pin::pin!(turns.take("a"));
        let mut third = std::pin::pin!(turns.take("a"));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(first);
        let second = second.await;
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(second);
        third.await;
    }

    #[test]
    fn forgotten_conversations_are_swept_out() {
        let turns = Turns::default();
        for n in 0..SWEEP_EVERY * 3 {
            turns.queue(&n.to_string());
        }
        assert!(turns.queues.lock().unwrap().len() <= SWEEP_EVERY);
    }
}
