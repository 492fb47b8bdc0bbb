//! A ledger between an adapter that sends everything and events that are told by hand.

use std::sync::Arc;

use bus::{Bus, Delivery, Outcome, Source, consume};
use chassis::clock::now_ms;
use proto::{
    id, subject,
    v1::{
        Accepted, Address, Answered, ConversationKind, Event, Inbound, Outbound, Priority, Said,
        Sender, Sent, Started, TraceReply, TraceRequest, Turn, Walk, WalkEnd, event::What,
        inbound::Body,
    },
};
use tempfile::TempDir;
use tests::{
    eventually::{DEADLINE, eventually},
    servers::Nats,
};
use tokio::{
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// A ledger, and what people on Telegram are told.
pub(super) struct Bench {
    pub(super) bus: Bus,
    pub(super) told: Arc<Mutex<Vec<Outbound>>>,
    pub(super) stop: CancellationToken,
    ledger: JoinHandle<anyhow::Result<()>>,
    tasks: JoinSet<()>,
}

impl Bench {
    pub(super) async fn start(nats: &Nats, folder: &TempDir) -> Self {
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

    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.ledger.await.unwrap().unwrap();
        while self.tasks.join_next().await.is_some() {}
    }

    pub(super) async fn trace(&self, about: &str) -> Vec<Walk> {
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
    pub(super) async fn told(&self, last: &str) -> Vec<String> {
        eventually(last, || async {
            let told = self.told.lock().await;
            let ids: Vec<String> = told.iter().map(|outbound| outbound.id.clone()).collect();
            (ids.last().map(String::as_str) == Some(last)).then_some(ids)
        })
        .await
    }

    pub(super) async fn ends(&self, turn_id: &str, end: WalkEnd) -> Walk {
        eventually(&format!("{turn_id} to end as {end:?}"), || async {
            let walk = self.trace(turn_id).await.pop()?;
            (walk.end() == end).then_some(walk)
        })
        .await
    }

    /// Tells that the turn `begun` began until the ledger has heard it.
    pub(super) async fn ends_listening(&self) {
        publish(&self.bus, &accepted("begun", "1", |_| {})).await;
        eventually("the ledger to hear that a turn began", || async {
            let started = Started {
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

    /// Has whoever works on `stream` give up all that comes.
    pub(super) fn give_up<M: prost::Message + Default + Clone + 'static>(
        &mut self,
        stream: &'static str,
    ) {
        let (bus, stop) = (self.bus.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let source = Source::partitions(&bus, stream, "broken");
            let give_up = |_: Delivery<M>| async { Outcome::Dead("the handler panicked".into()) };
            consume(&bus, source, &stop, |_: &M| String::new(), give_up)
                .await
                .unwrap();
        });
    }

    pub(super) async fn ask(&self, turn: &Turn) {
        let subject = subject::turn(
            self.bus.partitions(),
            Priority::Normal,
            &turn.agent,
            &turn.session_key,
        );
        self.bus.publish(&subject, &turn.id, turn).await.unwrap();
    }
}

pub(super) async fn publish(bus: &Bus, event: &Event) {
    bus.publish(&subject::event(event), &event.id, event)
        .await
        .unwrap();
}

pub(super) fn address(conversation: &str) -> Address {
    let mut address = Address {
        platform: "telegram".into(),
        account: "main".into(),
        conversation: conversation.into(),
        ..Address::default()
    };
    address.set_kind(ConversationKind::Direct);
    address
}

pub(super) fn inbound(id: &str, conversation: &str) -> Inbound {
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

pub(super) fn event(turn_id: &str, conversation: &str, what: What) -> Event {
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
pub(super) fn accepted(
    turn_id: &str,
    conversation: &str,
    change: impl FnOnce(&mut Accepted),
) -> Event {
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

pub(super) fn answered(turn_id: &str, conversation: &str) -> Event {
    let answered = Answered {
        provider: "fake".into(),
        started_at_ms: now_ms(),
        outbound_id: id::of_outbound(turn_id, 0),
        ..Answered::default()
    };
    event(turn_id, conversation, What::Answered(answered))
}

pub(super) fn sent(turn_id: &str, outbound_id: &str) -> Event {
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

pub(super) fn turn(id: &str, conversation: &str) -> Turn {
    Turn {
        id: id.into(),
        agent: "main".into(),
        session_key: format!("telegram:dm:{conversation}"),
        reply_to: Some(address(conversation)),
        deliver: true,
        ..Turn::default()
    }
}

pub(super) fn names(walk: &Walk) -> Vec<&str> {
    walk.steps.iter().map(|step| step.name.as_str()).collect()
}
