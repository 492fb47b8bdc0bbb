//! The bus: order within a lane, nothing lost, one owner at a time, whatever is killed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bus::{Bus, Delivery, Outcome, Settings, Source, consume};
use futures_util::StreamExt;
use proto::v1::{Part, Turn};
use tests::{eventually::eventually, servers::Nats};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod buckets;
mod bundles;

/// What was handled, in the order in which it was: session and number.
type Handled = Arc<Mutex<Vec<(String, u64)>>>;

async fn connect(nats: &Nats) -> Bus {
    Bus::connect(nats.settings()).await.unwrap()
}

/// A turn that says its session and number.
fn turn(session: &str, n: u64) -> Turn {
    Turn {
        id: n.to_string(),
        session_key: format!("loopback:dm:{session}"),
        ..Turn::default()
    }
}

async fn publish(bus: &Bus, session: &str, n: u64) {
    let turn = turn(session, n);
    let subject = proto::subject::turn(
        bus.partitions(),
        proto::v1::Priority::Normal,
        "main",
        &turn.session_key,
    );
    bus.publish(&subject, &format!("{session}.{n}"), &turn)
        .await
        .unwrap();
}

/// A worker that notes what it handles.
fn worker(bus: &Bus, handled: &Handled, stop: &CancellationToken) -> JoinHandle<()> {
    let (bus, handled, stop) = (bus.clone(), handled.clone(), stop.clone());
    tokio::spawn(async move {
        let source = Source::partitions(&bus, "TURN", "workers");
        let lane = |turn: &Turn| turn.session_key.clone();
        let handle = |delivery: Delivery<Turn>| {
            let handled = handled.clone();
            async move {
                for _ in 0..delivery.sequence % 5 {
                    tokio::task::yield_now().await;
                }
                if !delivery.fence.holds() {
                    return Outcome::Retry(Duration::from_millis(100));
                }
                let number = delivery.message.id.parse().unwrap();
                handled
                    .lock()
                    .unwrap()
                    .push((delivery.message.session_key, number));
                Outcome::Ack
            }
        };
        consume(&bus, source, &stop, lane, handle).await.unwrap();
    })
}

/// Waits until `sessions` × `each` are handled; panics on a gap or a first occurrence out of order.
async fn all_in_order(handled: &Handled, sessions: usize, each: u64) {
    eventually("everything is handled", || async {
        let handled = handled.lock().unwrap();
        let distinct: std::collections::HashSet<_> = handled.iter().collect();
        (distinct.len() as u64 == sessions as u64 * each).then_some(())
    })
    .await;
    let mut next: HashMap<String, u64> = HashMap::new();
    for (session, n) in handled.lock().unwrap().iter() {
        let next = next.entry(session.clone()).or_default();
        assert!(*n <= *next, "{session}: {n} came before {next}");
        *next = (*next).max(n + 1);
    }
}

async fn load(bus: &Bus, sessions: usize, each: u64) {
    for n in 0..each {
        let all = (0..sessions).map(|session| {
            let bus = bus.clone();
            async move { publish(&bus, &format!("s{session}"), n).await }
        });
        futures_util::future::join_all(all).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_and_go_and_every_session_keeps_its_order() {
    let nats = Nats::start();
    let handled = Handled::default();
    let (a, b, c) = (
        connect(&nats).await,
        connect(&nats).await,
        connect(&nats).await,
    );
    let (stop, leave) = (CancellationToken::new(), CancellationToken::new());
    let first = worker(&a, &handled, &stop);
    let second = worker(&b, &handled, &leave);
    let loading = tokio::spawn({
        let bus = c.clone();
        async move { load(&bus, 40, 30).await }
    });
    eventually("a third is handled", || async {
        (handled.lock().unwrap().len() > 400).then_some(())
    })
    .await;
    let third = worker(&c, &handled, &stop);
    leave.cancel();
    second.await.unwrap();
    // Killed without a word: its shards move when its lease is over.
    first.abort();
    loading.await.unwrap();
    all_in_order(&handled, 40, 30).await;
    stop.cancel();
    third.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_and_keeps_the_order() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let (handled, stop) = (Handled::default(), CancellationToken::new());
    let working = worker(&bus, &handled, &stop);
    let loading = tokio::spawn({
        let bus = bus.clone();
        async move { load(&bus, 20, 40).await }
    });
    for wanted in [100, 400] {
        eventually("some are handled", || async {
            (handled.lock().unwrap().len() > wanted).then_some(())
        })
        .await;
        nats.kill();
        nats.restart();
    }
    loading.await.unwrap();
    all_in_order(&handled, 20, 40).await;
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_message_holds_up_its_lane_only_and_a_panic_is_a_dead_letter() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let (handled, stop) = (Handled::default(), CancellationToken::new());
    for (session, n) in [("slow", 0), ("slow", 1), ("fast", 0), ("bad", 7)] {
        publish(&bus, session, n).await;
    }
    let working = tokio::spawn({
        let (bus, handled, stop) = (bus.clone(), handled.clone(), stop.clone());
        async move {
            let source = Source::partitions(&bus, "TURN", "workers");
            let handle = |delivery: Delivery<Turn>| {
                let handled = handled.clone();
                async move {
                    let turn = delivery.message;
                    if turn.session_key.ends_with("slow") && turn.id == "0" && delivery.attempt < 3
                    {
                        return Outcome::Retry(Duration::from_millis(300));
                    }
                    assert_ne!(turn.id, "7", "a bug in the handler");
                    handled
                        .lock()
                        .unwrap()
                        .push((turn.session_key, turn.id.parse().unwrap()));
                    Outcome::Ack
                }
            };
            consume(
                &bus,
                source,
                &stop,
                |turn: &Turn| turn.session_key.clone(),
                handle,
            )
            .await
            .unwrap();
        }
    });
    eventually("three are handled", || async {
        (handled.lock().unwrap().len() == 3).then_some(())
    })
    .await;
    let names: Vec<String> = handled
        .lock()
        .unwrap()
        .iter()
        .map(|(key, n)| format!("{key}/{n}"))
        .collect();
    assert_eq!(
        names,
        [
            "loopback:dm:fast/0",
            "loopback:dm:slow/0",
            "loopback:dm:slow/1"
        ]
    );
    let mut dead = bus.follow::<Turn>("DEAD", 0).await.unwrap();
    let letter = dead.next().await.unwrap();
    assert!(
        letter.subject.starts_with("dead.turn."),
        "{}",
        letter.subject
    );
    assert_eq!(letter.message.unwrap().id, "7");
    stop.cancel();
    working.await.unwrap();
    eventually("the queue is empty", || async {
        (bus.stream_state("TURN").await.unwrap().messages == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decoded_becomes_a_dead_letter() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    // A Part whose text is no UTF-8 where a Turn has a string, made by hand: field 1, 2 bytes, 0xff 0xff.
    let part = Part {
        extra_json: "x".into(),
        ..Part::default()
    };
    bus.publish("turn.0.n.main.x", "1", &part).await.unwrap();
    #[derive(Clone, PartialEq, prost::Message)]
    struct Garbage {
        #[prost(bytes = "vec", tag = "1")]
        id: Vec<u8>,
    }
    bus.publish(
        "turn.1.n.main.x",
        "2",
        &Garbage {
            id: vec![0xff, 0xff],
        },
    )
    .await
    .unwrap();
    let (handled, stop) = (Handled::default(), CancellationToken::new());
    let working = worker(&bus, &handled, &stop);
    eventually("both are dead letters", || async {
        (bus.stream_state("DEAD").await.unwrap().messages == 2).then_some(())
    })
    .await;
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_published_twice_is_stored_once() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let first = bus
        .publish("turn.0.n.main.x", "same", &turn("a", 1))
        .await
        .unwrap();
    let again = bus
        .publish("turn.0.n.main.x", "same", &turn("a", 1))
        .await
        .unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.sequence, again.sequence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_comes_when_due_and_a_cancelled_one_never() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let (handled, stop) = (Handled::default(), CancellationToken::new());
    let working = worker(&bus, &handled, &stop);
    let moving = tokio::spawn({
        let (bus, stop) = (bus.clone(), stop.clone());
        async move { bus::move_due(&bus, &stop).await }
    });
    let due = chassis::clock::now_ms() + 1500;
    bus.publish_at("turn.0.n.main.x", "kept", &turn("kept", 1), due)
        .await
        .unwrap();
    bus.publish_at("turn.0.n.main.x", "dropped", &turn("dropped", 1), due)
        .await
        .unwrap();
    assert!(bus.cancel("dropped").await.unwrap());
    assert!(!bus.cancel("dropped").await.unwrap());
    eventually("the kept one came", || async {
        (!handled.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    assert!(chassis::clock::now_ms() >= due, "never early");
    assert_eq!(
        *handled.lock().unwrap(),
        [("loopback:dm:kept".to_owned(), 1)]
    );
    stop.cancel();
    moving.await.unwrap().unwrap();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_owner_at_a_time_and_a_dead_ones_shard_moves() {
    let nats = Nats::start();
    let (a, b) = (connect(&nats).await, connect(&nats).await);
    let owners = Arc::new(Mutex::new(Vec::new()));
    let stop = CancellationToken::new();
    let own = |bus: Bus, name: &'static str| {
        let (owners, stop) = (owners.clone(), stop.clone());
        tokio::spawn(async move {
            bus::owned(
                &bus,
                "poll",
                "poll.x",
                &stop,
                |_, drain: CancellationToken| {
                    let owners = owners.clone();
                    async move {
                        owners.lock().unwrap().push(name);
                        drain.cancelled().await;
                    }
                },
            )
            .await
            .unwrap();
        })
    };
    let first = own(a, "a");
    eventually("a owns it", || async {
        (!owners.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    let second = own(b, "b");
    first.abort();
    eventually("b owns it", || async {
        (owners.lock().unwrap().len() == 2).then_some(())
    })
    .await;
    assert_eq!(*owners.lock().unwrap(), ["a", "b"]);
    stop.cancel();
    second.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_partitions_than_the_waiting_ones_are_refused() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    publish(&bus, "a", 1).await;
    let other = Settings {
        partitions: 4,
        ..nats.settings()
    };
    let refused = Bus::connect(other)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(refused.contains("16 partitions"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_server_is_said_within_the_patience() {
    let port = tests::servers::free_port();
    let settings = Settings {
        servers: vec![format!("nats://127.0.0.1:{port}")],
        patience: Duration::from_millis(300),
        ..Settings::default()
    };
    assert!(matches!(
        Bus::connect(settings).await,
        Err(bus::Error::Unavailable(_))
    ));
}
