//! The router between real servers: repeats, pairing, limits, and a Redis that dies.

use std::{collections::HashMap, sync::Arc};

use bus::{Bucket, Bus, Delivery, Outcome, Source, consume};
use proto::{
    id, priority, subject,
    v1::{
        Address, ConversationKind, Event, Inbound, Outbound, PairingEntry, Part, Said, Sender,
        Turn, event::What, inbound::Body, outbound::Action,
    },
};
use tests::{
    eventually::eventually,
    servers::{Nats, Redis},
};
use tokio::{
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// A router, and what came out of it.
struct Bench {
    bus: Bus,
    redis: Redis,
    turns: Arc<Mutex<Vec<Turn>>>,
    outbound: Arc<Mutex<Vec<Outbound>>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    router: JoinHandle<anyhow::Result<()>>,
    _nats: Nats,
}

fn open() -> router::Config {
    let access = router::Access {
        direct: router::Direct::Open,
        ..router::Access::default()
    };
    router::Config {
        access: HashMap::from([("loopback".into(), access)])
            .into_iter()
            .collect(),
        ..router::Config::default()
    }
}

impl Bench {
    async fn start(config: router::Config) -> Self {
        let (nats, redis) = (Nats::start(), Redis::start());
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let stop = CancellationToken::new();
        let ctx = chassis::Context::new(bus.clone(), stop.clone());
        let url = redis.url();
        let router = tokio::spawn(async move { router::run(ctx, config, &url).await });
        let (turns, outbound) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(collect(
            bus.clone(),
            Source::partitions(&bus, "TURN", "test"),
            stop.clone(),
            Arc::clone(&turns),
        ));
        let out = Source {
            stream: "OUT",
            group: "out".into(),
            shards: vec!["out.loopback.main".into()],
            in_hand: 8,
        };
        tasks.spawn(collect(
            bus.clone(),
            out,
            stop.clone(),
            Arc::clone(&outbound),
        ));
        Self {
            bus,
            redis,
            turns,
            outbound,
            stop,
            tasks,
            router,
            _nats: nats,
        }
    }

    /// Somebody says something; `id` is the platform's.
    async fn say(&self, sender: &str, id: &str, text: &str) {
        let inbound = said(sender, id, text);
        let key = router::route::session_key(&inbound);
        let priority = priority::of(&inbound);
        let subject = subject::inbound(self.bus.partitions(), priority, "loopback", &key);
        // A fresh message id: the stream's own window must not hide what the router does.
        self.bus
            .publish(
                &subject,
                &format!("{:?}", std::time::Instant::now()),
                &inbound,
            )
            .await
            .unwrap();
    }

    async fn turns(&self, count: usize) -> Vec<Turn> {
        eventually("the turns", || async {
            let turns = self.turns.lock().await;
            (turns.len() >= count).then(|| turns.clone())
        })
        .await
    }

    async fn texts(&self, count: usize) -> Vec<String> {
        let text = |outbound: &Outbound| match &outbound.action {
            Some(Action::Text(text)) => text.markdown.clone(),
            other => format!("{other:?}"),
        };
        eventually("the answers", || async {
            let outbound = self.outbound.lock().await;
            (outbound.len() >= count).then(|| outbound.iter().map(text).collect())
        })
        .await
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.router.await.unwrap().unwrap();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn collect<M>(bus: Bus, source: Source, stop: CancellationToken, into: Arc<Mutex<Vec<M>>>)
where
    M: prost::Message + Default + Clone + 'static,
{
    let take = |delivery: Delivery<M>| {
        let into = into.clone();
        async move {
            into.lock().await.push(delivery.message);
            Outcome::Ack
        }
    };
    consume(&bus, source, &stop, |_: &M| String::new(), take)
        .await
        .unwrap();
}

fn said(sender: &str, id: &str, text: &str) -> Inbound {
    let mut address = Address {
        platform: "loopback".into(),
        account: "main".into(),
        conversation: sender.into(),
        ..Address::default()
    };
    address.set_kind(ConversationKind::Direct);
    let dedupe_key = format!("loopback:main:{id}");
    Inbound {
        id: id::of_event(&dedupe_key),
        dedupe_key,
        address: Some(address),
        sender: Some(Sender {
            id: sender.into(),
            display_name: sender.into(),
            ..Sender::default()
        }),
        body: Some(Body::Said(Said {
            message_id: id.into(),
            parts: vec![Part {
                text: text.into(),
                ..Part::default()
            }],
            ..Said::default()
        })),
        ..Inbound::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_message_makes_one_turn() {
    let bench = Bench::start(open()).await;
    for (id, text) in [
        ("1", "hi"),
        ("1", "hi"),
        ("2", "there"),
        ("1", "hi"),
        ("3", "end"),
    ] {
        bench.say("ann", id, text).await;
    }
    let texts: Vec<String> = bench
        .turns(3)
        .await
        .into_iter()
        .map(|turn| turn.text)
        .collect();
    assert_eq!(texts, ["hi", "there", "end"]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_and_begins_anew_when_asked() {
    let bench = Bench::start(open()).await;
    for (id, text) in [("1", "a"), ("2", "b"), ("3", "/new"), ("4", "c")] {
        bench.say("ann", id, text).await;
    }
    let mut turns = bench.turns(3).await;
    turns.sort_by(|a, b| a.text.cmp(&b.text));
    assert_eq!(turns[0].session_id, turns[1].session_id);
    assert_ne!(turns[1].session_id, turns[2].session_id);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_person_gets_one_code_and_is_let_in_when_approved() {
    let bench = Bench::start(router::Config::default()).await;
    bench.say("ann", "1", "hello").await;
    bench.say("ann", "2", "hello?").await;
    let told = bench.texts(1).await;
    let people = bench.bus.bucket(Bucket::People);
    let (_, ask, _) = people.all::<PairingEntry>().await.unwrap().remove(0);
    assert!(told[0].contains(&ask.code), "{told:?}");
    assert_eq!((ask.sender_id.as_str(), ask.code.len()), ("ann", 8));
    let key = id::of_approval("loopback", "main", "ann");
    people.put(&key, &ask).await.unwrap();
    // Approval reaches the router through its watch; until then ann is told nothing more.
    let mut n = 10;
    eventually("ann is let in", || {
        n += 1;
        let bench = &bench;
        async move {
            bench.say("ann", &n.to_string(), "now?").await;
            (!bench.turns.lock().await.is_empty()).then_some(())
        }
    })
    .await;
    assert_eq!(bench.outbound.lock().await.len(), 1, "one code, once");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_three_wait_for_approval() {
    let bench = Bench::start(router::Config::default()).await;
    for (n, who) in ["ann", "bob", "cid", "dan", "eve"].into_iter().enumerate() {
        bench.say(who, &n.to_string(), "hello").await;
    }
    let mut events = bench.bus.follow::<Event>("EVENT", 0).await.unwrap();
    let mut reasons = Vec::new();
    while reasons.len() < 5 {
        let event = futures_util::StreamExt::next(&mut events)
            .await
            .unwrap()
            .message
            .unwrap();
        if let Some(What::Refused(refused)) = event.what {
            reasons.push(refused.reason);
        }
    }
    assert_eq!(
        reasons
            .iter()
            .filter(|reason| *reason == "asked to pair")
            .count(),
        3,
        "{reasons:?}"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_redis_stops_nothing() {
    let bench = Bench::start(open()).await;
    bench.say("ann", "1", "before").await;
    bench.turns(1).await;
    bench.redis.kill();
    bench.say("ann", "2", "without").await;
    bench.turns(2).await;
    bench.redis.restart();
    bench.say("ann", "3", "after").await;
    let texts: Vec<String> = bench
        .turns(3)
        .await
        .into_iter()
        .map(|turn| turn.text)
        .collect();
    assert_eq!(texts, ["before", "without", "after"]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_redis_stops_nothing() {
    let bench = Bench::start(open()).await;
    bench.redis.stop();
    for n in 0..8 {
        bench.say("ann", &n.to_string(), "hello").await;
    }
    bench.turns(8).await;
    bench.redis.cont();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_too_fast_waits_and_loses_nothing() {
    let config = router::Config {
        user_per_minute: 60,
        user_burst: 2,
        ..open()
    };
    let bench = Bench::start(config).await;
    let begun = std::time::Instant::now();
    for n in 0..4 {
        bench.say("ann", &n.to_string(), &n.to_string()).await;
    }
    let texts: Vec<String> = bench
        .turns(4)
        .await
        .into_iter()
        .map(|turn| turn.text)
        .collect();
    assert_eq!(texts, ["0", "1", "2", "3"]);
    assert!(
        begun.elapsed() >= std::time::Duration::from_millis(900),
        "the third and fourth had to wait"
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_under_another_platforms_subject_is_a_dead_letter() {
    let bench = Bench::start(open()).await;
    let forged = said("ann", "1", "I am from the page");
    bench
        .bus
        .publish("in.0.n.webchat.x", "forged", &forged)
        .await
        .unwrap();
    eventually("the dead letter", || async {
        (bench.bus.stream_state("DEAD").await.unwrap().messages == 1).then_some(())
    })
    .await;
    assert!(bench.turns.lock().await.is_empty());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_moved_keeps_its_session() {
    let mut config = open();
    let access = config.access.get_mut("loopback").unwrap();
    (access.group, access.require_mention) = (router::Group::Open, false);
    let bench = Bench::start(config).await;
    let in_group = |id: &str, group: &str, body: Body| {
        let mut inbound = said("ann", id, "");
        let address = inbound.address.as_mut().unwrap();
        address.set_kind(ConversationKind::Group);
        address.conversation = group.into();
        inbound.body = Some(body);
        inbound
    };
    let text = |text: &str| said("ann", "x", text).body.unwrap();
    let moved = Body::Moved(proto::v1::Moved {
        to_conversation: "new".into(),
    });
    let all = [
        ("1", "old", text("a")),
        ("2", "old", moved),
        ("3", "new", text("b")),
    ];
    for (n, (id, group, body)) in all.into_iter().enumerate() {
        let inbound = in_group(id, group, body);
        let key = router::route::session_key(&inbound);
        let subject = subject::inbound(
            bench.bus.partitions(),
            priority::of(&inbound),
            "loopback",
            &key,
        );
        bench.bus.publish(&subject, id, &inbound).await.unwrap();
        // What moved is known before anybody writes in the new group.
        eventually("it is routed", || async {
            (bench.bus.stream_state("EVENT").await.unwrap().last > n as u64).then_some(())
        })
        .await;
    }
    let turns = bench.turns(2).await;
    assert_eq!(turns[0].session_key, turns[1].session_key);
    assert_eq!(turns[0].session_id, turns[1].session_id);
    assert_eq!(turns[1].reply_to.as_ref().unwrap().conversation, "new");
    bench.end().await;
}
