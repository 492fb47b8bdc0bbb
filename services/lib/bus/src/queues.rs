//! How much waits in the queues, where, how urgent, and for how long.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};

use crate::{Bus, Error, StreamState, streams::QUEUES};

/// Questions asked of the server at once.
const AT_ONCE: usize = 16;

/// What waits in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Name of the stream.
    pub stream: &'static str,
    /// The stream as a whole.
    pub state: StreamState,
    /// What waits where; nothing is said of what is empty.
    pub depths: Vec<Depth>,
}

/// What waits in one shard at one priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Partition, or platform and account joined by a dot.
    pub shard: String,
    /// `c`, `h`, `n` or `l`.
    pub priority: String,
    /// Messages that wait or are being handled.
    pub messages: u64,
    /// When the oldest of them was stored, Unix epoch.
    pub oldest_ms: i64,
}

impl Bus {
    /// What waits in `IN`, `TURN` and `OUT`. Costs a round trip for each place where something waits.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn queues(&self) -> Result<Vec<Queue>, Error> {
        try_join_all(QUEUES.map(|(name, _)| self.queue(name))).await
    }

    async fn queue(&self, name: &'static str) -> Result<Queue, Error> {
        let context = &self.inner.context;
        let stream = context
            .get_stream_no_info(name)
            .await
            .map_err(Error::away)?;
        let state = self.stream_state(name).await?;
        let mut subjects = stream.info_with_subjects(">").await.map_err(Error::away)?;
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        while let Some((subject, count)) = subjects.try_next().await.map_err(Error::away)? {
            if let Some(place) = place(&subject) {
                *counts.entry(place).or_default() += count as u64;
            }
        }
        let prefix = name.to_lowercase();
        let depths = stream::iter(counts).map(|((shard, priority), messages)| {
            let filter = format!("{prefix}.{shard}.{priority}.>");
            async move {
                let oldest_ms = self.waits_since(&filter).await?;
                Ok::<_, Error>(oldest_ms.map(|oldest_ms| Depth {
                    shard,
                    priority,
                    messages,
                    oldest_ms,
                }))
            }
        });
        let depths: Vec<_> = depths.buffered(AT_ONCE).try_collect().await?;
        Ok(Queue {
            stream: name,
            state,
            depths: depths.into_iter().flatten().collect(),
        })
    }
}

/// Shard and priority of a subject of a queue.
fn place(subject: &str) -> Option<(String, String)> {
    let mut tokens = subject.split('.');
    let shard = match tokens.next()? {
        "out" => format!("{}.{}", tokens.next()?, tokens.next()?),
        _ => tokens.next()?.to_owned(),
    };
    Some((shard, tokens.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_says_where_it_waits_and_how_urgent_it_is() {
        let at = |subject| place(subject).map(|(shard, priority)| format!("{shard} {priority}"));
        assert_eq!(at("in.3.h.telegram.ab").as_deref(), Some("3 h"));
        assert_eq!(at("turn.15.c.main.ab").as_deref(), Some("15 c"));
        assert_eq!(
            at("out.telegram.main.n.ab").as_deref(),
            Some("telegram.main n")
        );
        assert_eq!(at("out.telegram"), None);
    }
}
