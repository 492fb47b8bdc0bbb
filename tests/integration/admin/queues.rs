//! What waits, where, how urgent, for how long.

use proto::v1::{Queue, QueuesRequest, Turn, queues_client::QueuesClient};

use super::{Desk, publish};

fn find(queues: &[Queue], stream: &str) -> Queue {
    queues
        .iter()
        .find(|queue| queue.stream == stream)
        .cloned()
        .unwrap()
}

#[tokio::test]
async fn queues_say_how_much_waits_where_how_urgent_and_since_when() {
    let desk = Desk::open().await;
    for (id, subject) in [
        ("1", "turn.3.n.main.a"),
        ("2", "turn.3.n.main.b"),
        ("3", "turn.3.c.main.a"),
    ] {
        desk.bus
            .publish(subject, id, &Turn::default())
            .await
            .unwrap();
    }
    publish(&desk, "o", "hello").await;
    let mut queues = QueuesClient::new(desk.door());
    let queues = queues
        .list(QueuesRequest {})
        .await
        .unwrap()
        .into_inner()
        .queues;
    let names: Vec<_> = queues.iter().map(|queue| queue.stream.as_str()).collect();
    assert_eq!(names, ["IN", "TURN", "OUT", "LATER", "DEAD", "EVENT"]);

    let turn = find(&queues, "TURN");
    let depths: Vec<_> = turn
        .depths
        .iter()
        .map(|d| (d.shard.as_str(), d.priority.as_str(), d.messages))
        .collect();
    assert_eq!(depths, [("3", "critical", 1), ("3", "normal", 2)]);
    assert_eq!(turn.depths[1].oldest_at_ms, turn.oldest_at_ms);
    assert!(
        turn.depths[0].oldest_at_ms >= turn.oldest_at_ms
            && turn.messages == 3
            && turn.size_bytes > 0
    );
    let out = find(&queues, "OUT");
    assert_eq!(
        (out.depths[0].shard.as_str(), out.depths[0].messages),
        ("loopback.main", 1)
    );
    let empty = find(&queues, "IN");
    assert_eq!(
        (empty.messages, empty.oldest_at_ms, empty.depths.len()),
        (0, 0, 0)
    );
    desk.close().await;
}
