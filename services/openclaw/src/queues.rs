//! `openclaw queues`: how much waits, where, and for how long.

use chassis::clock::now_ms;
use proto::v1::queues_client::QueuesClient;
use proto::v1::{Queue, QueuesRequest};
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::table::{age, table};

pub(crate) async fn run(remote: &Remote) -> anyhow::Result<()> {
    let listed = QueuesClient::new(remote.door.clone())
        .list(QueuesRequest {})
        .await;
    let queues = listed
        .map_err(|status| remote.refused(&status))?
        .into_inner()
        .queues;
    let value = || queues.iter().map(entry).collect();
    remote.print(value, || list(&queues, now_ms()))
}

fn list(queues: &[Queue], now_ms: i64) -> String {
    let rows = queues.iter().map(|queue| {
        [
            queue.stream.clone(),
            queue.messages.to_string(),
            age(queue.oldest_at_ms, now_ms),
            format!("{} KiB", queue.size_bytes.div_ceil(1024)),
        ]
    });
    let mut text = table(["STREAM", "MESSAGES", "OLDEST", "SIZE"], rows);
    let depths = queues.iter().flat_map(|queue| {
        let depths = queue.depths.iter();
        depths.map(move |depth| {
            [
                queue.stream.clone(),
                depth.shard.clone(),
                depth.priority.clone(),
                depth.messages.to_string(),
                age(depth.oldest_at_ms, now_ms),
            ]
        })
    });
    let depths: Vec<_> = depths.collect();
    if !depths.is_empty() {
        let heads = ["WAITS IN", "WHERE", "PRIORITY", "MESSAGES", "OLDEST"];
        text.push('\n');
        text.push_str(&table(heads, depths));
    }
    text
}

fn entry(queue: &Queue) -> Value {
    let depths = queue.depths.iter().map(|depth| {
        json!({
            "shard": depth.shard,
            "priority": depth.priority,
            "messages": depth.messages,
            "oldestAtMs": depth.oldest_at_ms,
        })
    });
    json!({
        "stream": queue.stream,
        "messages": queue.messages,
        "sizeBytes": queue.size_bytes,
        "oldestAtMs": queue.oldest_at_ms,
        "depths": depths.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::QueueDepth;

    use super::*;

    #[test]
    fn queues_stand_above_what_waits_in_them() {
        let depth = QueueDepth {
            shard: "3".into(),
            priority: "normal".into(),
            messages: 2,
            oldest_at_ms: 1000,
        };
        let queue = Queue {
            stream: "TURN".into(),
            messages: 2,
            size_bytes: 1025,
            oldest_at_ms: 1000,
            depths: vec![depth],
        };
        let text = list(&[queue], 4000);
        let expected = "\
STREAM  MESSAGES  OLDEST  SIZE
TURN    2         3 s     2 KiB

WAITS IN  WHERE  PRIORITY  MESSAGES  OLDEST
TURN      3      normal    2         3 s
";
        assert_eq!(text, expected);
    }
}
