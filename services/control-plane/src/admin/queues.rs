//! How much waits, where, and for how long.

use bus::{Bus, Depth, StreamState};
use proto::v1::{Queue, QueueDepth, QueuesReply, QueuesRequest, queues_server};
use tonic::{Request, Response, Status};

use super::code::failed;

/// Streams that are shown as a whole.
const WHOLE: [&str; 3] = ["LATER", "DEAD", "EVENT"];

/// The streams.
pub(crate) struct Queues {
    bus: Bus,
}

impl Queues {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    async fn all(&self) -> Result<Vec<Queue>, bus::Error> {
        let queues = self.bus.queues().await?.into_iter();
        let mut queues: Vec<_> = queues
            .map(|queue| shown(queue.stream, &queue.state, queue.depths))
            .collect();
        for name in WHOLE {
            let state = self.bus.stream_state(name).await?;
            queues.push(shown(name, &state, Vec::new()));
        }
        Ok(queues)
    }
}

#[tonic::async_trait]
impl queues_server::Queues for Queues {
    async fn list(&self, _: Request<QueuesRequest>) -> Result<Response<QueuesReply>, Status> {
        let queues = self.all().await.map_err(failed)?;
        Ok(Response::new(QueuesReply { queues }))
    }
}

fn shown(stream: &str, state: &StreamState, depths: Vec<Depth>) -> Queue {
    let depths = depths.into_iter().map(|depth| QueueDepth {
        shard: depth.shard,
        priority: priority(&depth.priority),
        messages: depth.messages,
        oldest_at_ms: depth.oldest_ms,
    });
    Queue {
        stream: stream.into(),
        messages: state.messages,
        size_bytes: state.bytes,
        oldest_at_ms: state.oldest_ms,
        depths: depths.collect(),
    }
}

fn priority(letter: &str) -> String {
    match letter {
        "c" => "critical",
        "h" => "high",
        "n" => "normal",
        "l" => "low",
        other => other,
    }
    .into()
}
