//! Messages on their way: each step is seen, and each ends as an answer, a stated silence, or a dead letter with a notice.

use std::sync::Arc;

use bus::{Bus, Delivery, Outcome, Source, consume};
use chassis::clock::now_ms;
use proto::{
    id, subject,
    v1::{
        Accepted, Address, Answered, ConversationKind, Delivered, Event, Inbound, Outbound,
        Priority, Said, Sender, Sent, Text, TraceReply, TraceRequest, Turn, Walk, WalkEnd,
        event::What, inbound::Body, outbound::Action,
    },
};
use tempfile::TempDir;
use tests::{
    eventually::{DEADLINE, eventually},
    servers::{Nats, Redis},
};
use tokio::{
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// A ledger, and what people on Telegram are told.
struct Bench {
    bus: Bus,
    told: Arc<Mutex<Vec<Outbound>>>,
    stop: CancellationToken,
    ledger: JoinHandle<anyhow::Result<()>>,
    tasks: JoinSet<()>,
}

impl Bench {
    async fn start(nats: &Nats, folder: &TempDir) -> Self {
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let (stop, told) = (
            CancellationToken::new(),
            Arc::<Mutex<Vec<Outbound>>>::default(),
        );
        let config = ledger::Config {
            path: folder.path().join("ledger.sqlite"),
            overdue_s: 1,
            ..ledger::Config::default()
        };
        let ctx = chassis::Context::new(bus.clone(), stop.clone());
        let ledger = tokio::spawn(ledger::run(ctx, config));
        let out = Source {
            stream: "OUT",
            group: "out".into(),
            shards: vec!["out.telegram.main".into()],
            in_hand: 8,
        };
        let mut tasks = JoinSet::new();
        let (into, adapter, until) = (told.clone(), bus.clone(), stop.clone());
        tasks.spawn(async move {
            // An adapter that sends everything, once.
            let send = |delivery: Delivery<Outbound>| {
                let (into, adapter) = (into.clone(), adapter.clone());
                async move {
                    let outbound = delivery.message;
                    publish(&adapter, &sent(&outbound.turn_id, &outbound.id)).await;
                    into.lock().await.push(outbound);
                    Outcome::Ack
                }
            };
            consume(&adapter, out, &until, |_: &Outbound| String::new(), send)
                .await
                .unwrap();
        });
        Self {
            bus,
            told,
            stop,
            ledger,
            tasks,
        }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        self.ledger.await.unwrap().unwrap();
        while self.tasks.join_next().await.is_some() {}
    }

    async fn trace(&self, about: &str) -> Vec<Walk> {
        let asked = TraceRequest {
            about: about.into(),
            limit: 0,
        };
        let reply: TraceReply = eventually("the ledger to answer", || async {
            self.bus.ask(subject::JOURNEY, &asked, DEADLINE).await.ok()
        })
        .await;
        reply.walks
    }

    /// Ids of what people were told, once the last of them is `last`.
    async fn told(&self, last: &str) -> Vec<String> {
        eventually(last, || async {
            let told = self.told.lock().await;
            let ids: Vec<String> = told.iter().map(|outbound| outbound.id.clone()).collect();
            (ids.last().map(String::as_str) == Some(last)).then_some(ids)
        })
        .await
    }

    async fn ends(&self, turn_id: &str, end: WalkEnd) -> Walk {
        eventually(&format!("{turn_id} to end as {end:?}"), || async {
            let walk = self.trace(turn_id).await.pop()?;
            (walk.end() == end).then_some(walk)
        })
        .await
    }

    /// Has whoever works on `stream` give up all that comes.
    fn give_up<M: prost::Message + Default + Clone + 'static>(&mut self, stream: &'static str) {
        let (bus, stop) = (self.bus.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let source = Source::partitions(&bus, stream, "broken");
            let give_up = |_: Delivery<M>| async { Outcome::Dead("the handler panicked".into()) };
            consume(&bus, source, &stop, |_: &M| String::new(), give_up)
                .await
                .unwrap();
        });
    }

    async fn ask(&self, turn: &Turn) {
        let subject = subject::turn(
            self.bus.partitions(),
            Priority::Normal,
            &turn.agent,
            &turn.session_key,
        );
        self.bus.publish(&subject, &turn.id, turn).await.unwrap();
    }
}

async fn publish(bus: &Bus, event: &Event) {
    bus.publish(&subject::event(event), &event.id, event)
        .await
        .unwrap();
}

fn address(conversation: &str) -> Address {
    let mut address = Address {
        platform: "telegram".into(),
        account: "main".into(),
        conversation: conversation.into(),
        ..Address::default()
    };
    address.set_kind(ConversationKind::Direct);
    address
}

fn inbound(id: &str, conversation: &str) -> Inbound {
    Inbound {
        id: id.into(),
        address: Some(address(conversation)),
        sender: Some(Sender {
            id: conversation.into(),
            ..Sender::default()
        }),
        occurred_at_ms: now_ms() - 20,
        received_at_ms: now_ms() - 10,
        body: Some(Body::Said(Said {
            message_id: format!("m-{id}"),
            ..Said::default()
        })),
        ..Inbound::default()
    }
}

fn event(turn_id: &str, conversation: &str, what: What) -> Event {
    let mut event = Event {
        at_ms: now_ms(),
        agent: "main".into(),
        session_key: format!("telegram:dm:{conversation}"),
        turn_id: turn_id.into(),
        what: Some(what),
        ..Event::default()
    };
    event.id = format!("{turn_id}.{}", subject::kind(&event));
    event
}

/// A turn was asked for, `change`d.
fn accepted(turn_id: &str, conversation: &str, change: impl FnOnce(&mut Accepted)) -> Event {
    let mut accepted = Accepted {
        inbound: Some(inbound(turn_id, conversation)),
        text: "hi".into(),
        turn: true,
        deadline_ms: now_ms() + 600_000,
        ..Accepted::default()
    };
    change(&mut accepted);
    event(turn_id, conversation, What::Accepted(accepted))
}

fn answered(turn_id: &str, conversation: &str) -> Event {
    let answered = Answered {
        provider: "fake".into(),
        started_at_ms: now_ms(),
        outbound_id: id::of_outbound(turn_id, 0),
        ..Answered::default()
    };
    event(turn_id, conversation, What::Answered(answered))
}

fn sent(turn_id: &str, outbound_id: &str) -> Event {
    let sent = Sent {
        outbound_id: outbound_id.into(),
        chunks: 1,
        platform_message_id: format!("p-{outbound_id}"),
        to: Some(address("1")),
        sending_at_ms: now_ms(),
        ..Sent::default()
    };
    Event {
        id: format!("{outbound_id}.0.sent"),
        ..event(turn_id, "1", What::Sent(sent))
    }
}

fn turn(id: &str, conversation: &str) -> Turn {
    Turn {
        id: id.into(),
        agent: "main".into(),
        session_key: format!("telegram:dm:{conversation}"),
        reply_to: Some(address(conversation)),
        deliver: true,
        ..Turn::default()
    }
}

fn names(walk: &Walk) -> Vec<&str> {
    walk.steps.iter().map(|step| step.name.as_str()).collect()
}

#[tokio::test]
async fn a_message_is_found_by_whatever_people_call_it() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let bench = Bench::start(&nats, &folder).await;
    for id in ["a", "b"] {
        publish(&bench.bus, &accepted(id, "1", |_| {})).await;
        publish(&bench.bus, &answered(id, "1")).await;
        publish(&bench.bus, &sent(id, &id::of_outbound(id, 0))).await;
    }
    let read = Delivered {
        platform_message_id: "p-a-0".into(),
        status: "read".into(),
        to: Some(address("1")),
        ..Delivered::default()
    };
    publish(&bench.bus, &event("report", "1", What::Delivered(read))).await;
    // The same number in another conversation is another message.
    let elsewhere = Delivered {
        platform_message_id: "p-a-0".into(),
        to: Some(address("2")),
        ..Delivered::default()
    };
    publish(
        &bench.bus,
        &event("elsewhere", "2", What::Delivered(elsewhere)),
    )
    .await;

    let walk = bench.trace("a").await.remove(0);
    let all = [
        "written", "received", "routed", "started", "answered", "sending", "sent", "read",
    ];
    assert_eq!(names(&walk), all);
    assert_eq!(
        (walk.end(), walk.from.clone()),
        (WalkEnd::Reply, Some(address("1")))
    );
    for about in ["a-0", "m-a", "p-a-0"] {
        assert_eq!(bench.trace(about).await, [walk.clone()], "{about}");
    }
    for about in ["1", "telegram:dm:1"] {
        let ids: Vec<_> = bench
            .trace(about)
            .await
            .into_iter()
            .map(|walk| walk.turn_id)
            .collect();
        assert_eq!(ids, ["a", "b"], "{about}");
    }
    assert_eq!(bench.trace("nothing").await, []);
    bench.stop().await;
}

#[tokio::test]
async fn a_turn_that_is_given_up_ends_with_one_notice_even_if_the_ledger_is_written_anew() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start(&nats, &folder).await;
    publish(&bench.bus, &accepted("a", "1", |_| {})).await;
    bench.ask(&turn("a", "1")).await;
    bench
        .ask(&Turn {
            deliver: false,
            ..turn("page", "2")
        })
        .await;
    bench.give_up::<Turn>("TURN");
    assert_eq!(bench.told("a-dead").await, ["a-dead"]);
    let walk = bench.ends("a", WalkEnd::Dead).await;
    assert!(names(&walk).contains(&"dead"), "{walk:?}");
    bench.ends("page", WalkEnd::Dead).await;
    bench.stop().await;

    let other = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(&nats, &other).await;
    bench.ends("a", WalkEnd::Dead).await;
    // What dies later is seen to later: by then the old letters have been seen to again.
    bench.ask(&turn("b", "1")).await;
    bench.give_up::<Turn>("TURN");
    assert_eq!(bench.told("b-dead").await, ["b-dead"]);
    bench.stop().await;
}

#[tokio::test]
async fn nobody_is_told_who_was_not_let_in() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start(&nats, &folder).await;
    publish(
        &bench.bus,
        &accepted("before", "1", |accepted| accepted.turn = false),
    )
    .await;
    bench.give_up::<Inbound>("IN");
    for (id, conversation) in [("stranger", "2"), ("friend", "1")] {
        let subject = subject::inbound(
            bench.bus.partitions(),
            Priority::Normal,
            "telegram",
            "the same lane",
        );
        bench
            .bus
            .publish(&subject, id, &inbound(id, conversation))
            .await
            .unwrap();
    }
    assert_eq!(bench.told("friend-dead").await, ["friend-dead"]);
    bench.ends("stranger", WalkEnd::Dead).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_turn_that_vanished_is_found_and_one_that_waits_is_left_alone() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let bench = Bench::start(&nats, &folder).await;
    let late = |accepted: &mut Accepted| accepted.deadline_ms = 1;
    bench.ask(&turn("waits", "2")).await;
    publish(&bench.bus, &accepted("waits", "2", late)).await;
    publish(&bench.bus, &accepted("vanished", "1", late)).await;
    publish(&bench.bus, &accepted("unsent", "3", late)).await;
    publish(&bench.bus, &answered("unsent", "3")).await;
    publish(&bench.bus, &accepted("done", "4", late)).await;
    publish(&bench.bus, &answered("done", "4")).await;
    publish(&bench.bus, &sent("done", "done-0")).await;

    for lost in ["vanished", "unsent"] {
        let walk = bench.ends(lost, WalkEnd::Dead).await;
        let dead = walk.steps.iter().find(|step| step.name == "dead").unwrap();
        assert!(dead.detail.starts_with("lost: "), "{dead:?}");
    }
    let told = eventually("both notices", || async {
        let told = bench.told.lock().await;
        let mut ids: Vec<_> = told.iter().map(|outbound| outbound.id.clone()).collect();
        ids.sort();
        (ids.len() >= 2).then_some(ids)
    })
    .await;
    assert_eq!(told, ["unsent-dead", "vanished-dead"]);
    bench.ends("waits", WalkEnd::None).await;
    bench.ends("done", WalkEnd::Reply).await;
    bench.stop().await;
}

#[tokio::test]
async fn who_waits_is_told_once_in_a_conversation_and_not_once_an_agent_has_begun() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let bench = Bench::start(&nats, &folder).await;
    bench.ends_listening().await;
    let slow = |accepted: &mut Accepted| accepted.slow_at_ms = now_ms() - 1;
    publish(&bench.bus, &accepted("begun", "1", slow)).await;
    publish(&bench.bus, &accepted("a", "2", slow)).await;
    assert_eq!(bench.told("a-slow").await, ["a-slow"]);
    publish(&bench.bus, &accepted("b", "2", slow)).await;
    publish(&bench.bus, &accepted("c", "3", slow)).await;
    assert_eq!(bench.told("c-slow").await, ["a-slow", "c-slow"]);
    bench.stop().await;
}

impl Bench {
    /// Tells that the turn `begun` began until the ledger has heard it.
    async fn ends_listening(&self) {
        publish(&self.bus, &accepted("begun", "1", |_| {})).await;
        eventually("the ledger to hear that a turn began", || async {
            let started = proto::v1::Started {
                turn_id: "begun".into(),
                at_ms: now_ms(),
            };
            self.bus.tell(subject::STARTED, &started).await.unwrap();
            let walk = self.trace("begun").await.pop()?;
            walk.steps
                .iter()
                .any(|step| step.name == "started" && step.going_on)
                .then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_too_old_is_a_dead_letter_and_never_asked() {
    let (nats, folder, redis) = (Nats::start(), tempfile::tempdir().unwrap(), Redis::start());
    let bench = Bench::start(&nats, &folder).await;
    publish(
        &bench.bus,
        &accepted("before", "1", |accepted| accepted.turn = false),
    )
    .await;
    let ctx = chassis::Context::new(bench.bus.clone(), bench.stop.clone());
    let url = redis.url();
    let router =
        tokio::spawn(async move { router::run(ctx, router::Config::default(), &url).await });
    let old = Inbound {
        expires_at_ms: 1,
        ..inbound("old", "1")
    };
    let subject = subject::inbound(
        bench.bus.partitions(),
        Priority::Normal,
        "telegram",
        "telegram:dm:1",
    );
    bench.bus.publish(&subject, "old", &old).await.unwrap();
    let walk = bench.ends("old", WalkEnd::Dead).await;
    let dead = walk.steps.iter().find(|step| step.name == "dead").unwrap();
    assert_eq!(dead.detail, "expired");
    bench.told("old-dead").await;
    let told = bench.told.lock().await.pop().unwrap();
    let Some(Action::Text(Text { markdown, .. })) = told.action else {
        panic!("a text")
    };
    assert!(markdown.contains("waited too long"), "{markdown}");
    bench.stop().await;
    router.await.unwrap().unwrap();
}
