//! The yardstick: a bare JetStream pipeline of as many hops, on the same machine in the same run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    self, consumer::pull, context::ContextBuilder, message::PublishMessage, stream,
};
use futures_util::StreamExt;
use tests::servers::Nats;
use tokio::sync::{Semaphore, mpsc};

use crate::{start::ms, table::Table};

/// Queues that a message passes, as IN, TURN and OUT.
const HOPS: [&str; 3] = ["A", "B", "C"];
/// Messages that a hop works on at once.
const AT_ONCE: usize = 256;
/// A typical message.
const BYTES: usize = 800;
const LATENCY_S: usize = 10;
const MESSAGES: usize = 8_000;
const IN_FLIGHT: usize = 200;

pub(crate) async fn measure(table: &mut Table) {
    let nats = Nats::start();
    let client = async_nats::connect(nats.url()).await.expect("the server");
    let context = ContextBuilder::new()
        .timeout(Duration::from_secs(5))
        .max_ack_inflight(4096)
        .build(client);
    let (done, mut finished) = mpsc::channel(4096);
    for (n, hop) in HOPS.iter().enumerate() {
        let config = stream::Config {
            name: (*hop).into(),
            subjects: vec![format!("{}.>", hop.to_lowercase())],
            retention: stream::RetentionPolicy::WorkQueue,
            ..stream::Config::default()
        };
        context.create_stream(config).await.expect("a stream");
        let next = HOPS.get(n + 1).map(|hop| hop.to_lowercase());
        tokio::spawn(hop_on(
            context.clone(),
            (*hop).to_owned(),
            next,
            done.clone(),
        ));
    }
    let begun: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
    for rate in [100] {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
        let count = rate as usize * LATENCY_S;
        let sender = {
            let (context, begun) = (context.clone(), begun.clone());
            tokio::spawn(async move {
                for n in 0..count as u64 {
                    tick.tick().await;
                    begun
                        .lock()
                        .expect("not poisoned")
                        .insert(n, Instant::now());
                    let context = context.clone();
                    tokio::spawn(async move { put(&context, "a", n).await });
                }
            })
        };
        let mut latencies = Vec::new();
        while latencies.len() < count {
            let n = finished.recv().await.expect("hops run");
            latencies.extend(
                begun
                    .lock()
                    .expect("not poisoned")
                    .remove(&n)
                    .map(|at| at.elapsed()),
            );
        }
        sender.await.expect("sender");
        latencies.sort_unstable();
        let at = |quantile: f64| ms(latencies[((latencies.len() - 1) as f64 * quantile) as usize]);
        table.row(
            &format!("bare pipeline: latency at {rate} messages/s"),
            format!("p50 {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99)),
            "ours within 2 times",
        );
    }
    let (room, from) = (Arc::new(Semaphore::new(IN_FLIGHT)), Instant::now());
    let refill = room.clone();
    let feeder = tokio::spawn(async move {
        for n in 0..MESSAGES as u64 {
            room.acquire().await.expect("open").forget();
            let context = context.clone();
            tokio::spawn(async move { put(&context, "a", 1_000_000 + n).await });
        }
    });
    for _ in 0..MESSAGES {
        finished.recv().await.expect("hops run");
        refill.add_permits(1);
    }
    feeder.await.expect("feeder");
    let rate = MESSAGES as f64 / from.elapsed().as_secs_f64();
    table.row(
        &format!("bare pipeline: {IN_FLIGHT} in flight"),
        format!("{rate:.0} messages/s"),
        "ours above 60 %",
    );
}

async fn put(context: &jetstream::Context, hop: &str, n: u64) {
    let payload = vec![b'x'; BYTES];
    let message = PublishMessage::build()
        .payload(payload.into())
        .message_id(format!("{hop}-{n}"));
    let ack = context
        .send_publish(format!("{hop}.{n}"), message)
        .await
        .expect("sent");
    ack.await.expect("stored");
}

async fn hop_on(
    context: jetstream::Context,
    hop: String,
    next: Option<String>,
    done: mpsc::Sender<u64>,
) {
    let stream = context.get_stream(&hop).await.expect("a stream");
    let config = pull::Config {
        durable_name: Some("hop".into()),
        max_ack_pending: 4096,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let messages = consumer
        .stream()
        .max_messages_per_batch(AT_ONCE)
        .messages()
        .await
        .expect("messages");
    messages
        .for_each_concurrent(AT_ONCE, |message| {
            let (context, next, done) = (context.clone(), next.clone(), done.clone());
            async move {
                let message = message.expect("a message");
                let n: u64 = message
                    .subject
                    .rsplit('.')
                    .next()
                    .and_then(|n| n.parse().ok())
                    .expect("a number");
                if let Some(next) = &next {
                    put(&context, next, n).await;
                }
                message.ack().await.expect("acknowledged");
                if next.is_none() {
                    done.send(n).await.expect("somebody counts");
                }
            }
        })
        .await;
}
