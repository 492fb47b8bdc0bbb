//! The agent bridge: every turn ends once, in order, whatever the model does.

use std::{collections::HashMap, time::Duration};

use agent_bridge::{Api, Config};
use bus::{Bus, Delivery, Outcome, Source};
use chassis::{Context, clock::now_ms};
use futures_util::StreamExt;
use proto::{
    subject,
    v1::{
        Address, Delta, DeltaKind, Event, HistoryReply, HistoryRequest, Line, Outbound, Priority,
        Turn, event::What, outbound::Action,
    },
};
use tests::{
    eventually::{DEADLINE, eventually},
    model::{Answer, Fault, Model},
    servers::Nats,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

mod faults;

/// An agent bridge in this process, on a bus and a model of its own.
struct Bridge {
    bus: Bus,
    model: Model,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    events: mpsc::UnboundedReceiver<Event>,
    outbounds: mpsc::UnboundedReceiver<Outbound>,
    deltas: mpsc::UnboundedReceiver<Delta>,
    _nats: Nats,
}

impl Bridge {
    async fn start(config: impl FnOnce(&mut Config)) -> Self {
        let nats = Nats::start();
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let model = Model::start().await;
        let mut settings = Config {
            url: model.url(),
            model: "test-model".into(),
            retry_pause_ms: 1,
            retries: 1,
            ..Config::default()
        };
        config(&mut settings);
        let stop = CancellationToken::new();
        let events = bus
            .follow("EVENT", 0)
            .await
            .unwrap()
            .filter_map(async |record| record.message);
        let deltas = bus
            .listen(subject::LIVE_DELTAS)
            .await
            .unwrap()
            .map(|(_, delta)| delta);
        let (events, deltas) = (collect(events), collect(deltas));
        let outbounds = deliver(bus.clone(), stop.clone());
        let task = tokio::spawn(agent_bridge::run(
            Context::new(bus.clone(), stop.clone()),
            settings,
        ));
        Self {
            bus,
            model,
            stop,
            task,
            events,
            outbounds,
            deltas,
            _nats: nats,
        }
    }

    async fn ask(&self, turn: &Turn) {
        self.ask_as(turn, &turn.id).await;
    }

    async fn ask_as(&self, turn: &Turn, id: &str) {
        let subject = subject::turn(
            self.bus.partitions(),
            turn.priority(),
            &turn.agent,
            &turn.session_key,
        );
        self.bus.publish(&subject, id, turn).await.unwrap();
    }

    async fn event(&mut self) -> Event {
        next(&mut self.events, "an event").await
    }

    async fn outbound(&mut self) -> Outbound {
        next(&mut self.outbounds, "an outbound").await
    }

    async fn delta(&mut self) -> Delta {
        next(&mut self.deltas, "a delta").await
    }

    /// Waits for a turn's one ending, and asserts that nothing else came of it.
    async fn stop(mut self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        assert!(self.events.try_recv().is_err(), "an event too many");
        assert!(self.outbounds.try_recv().is_err(), "an outbound too many");
    }
}

fn collect<T: Send + 'static>(
    stream: impl futures_util::Stream<Item = T> + Send + 'static,
) -> mpsc::UnboundedReceiver<T> {
    let (told, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(item) = stream.next().await {
            if told.send(item).is_err() {
                return;
            }
        }
    });
    heard
}

/// Takes what is to be sent, as an adapter would.
fn deliver(bus: Bus, stop: CancellationToken) -> mpsc::UnboundedReceiver<Outbound> {
    let (told, heard) = mpsc::unbounded_channel();
    let source = Source {
        stream: "OUT",
        group: "telegram.main".into(),
        shards: vec![subject::account("telegram", "main")],
        in_hand: 1,
    };
    tokio::spawn(async move {
        let handle = |delivery: Delivery<Outbound>| {
            let _ = told.send(delivery.message);
            std::future::ready(Outcome::Ack)
        };
        bus::consume(&bus, source, &stop, |_| String::new(), handle).await
    });
    heard
}

async fn next<T>(heard: &mut mpsc::UnboundedReceiver<T>, what: &str) -> T {
    let heard = timeout(DEADLINE, heard.recv()).await;
    heard
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
        .unwrap()
}

fn turn(id: &str, text: &str) -> Turn {
    Turn {
        id: id.into(),
        agent: "main".into(),
        session_key: "telegram:dm:7".into(),
        session_id: "s".into(),
        reply_to: Some(Address {
            platform: "telegram".into(),
            account: "main".into(),
            conversation: "7".into(),
            ..Address::default()
        }),
        text: text.into(),
        received_at_ms: now_ms(),
        deliver: true,
        priority: Priority::Normal.into(),
        ..Turn::default()
    }
}

fn markdown(outbound: &Outbound) -> &str {
    match &outbound.action {
        Some(Action::Text(text)) => &text.markdown,
        other => panic!("a text, not {other:?}"),
    }
}

fn text(event: &Event) -> &str {
    match &event.what {
        Some(What::Answered(answered)) => &answered.text,
        other => panic!("answered, not {other:?}"),
    }
}

#[tokio::test]
async fn a_turn_is_told_live_and_answered_once() {
    for api in [Api::Chat, Api::Responses] {
        let mut bridge = Bridge::start(|config| {
            config.api = api;
            config.api_key = "key".into();
            config.usd_per_million_output_tokens = 2.0;
        })
        .await;
        bridge.model.script([Answer {
            between: Duration::from_millis(70),
            ..Answer::default()
        }]);
        let asked = Turn {
            preferences: HashMap::from([("model".into(), "other".into())]),
            ..turn("t1", "hello")
        };
        bridge.ask(&asked).await;

        let event = bridge.event().await;
        let Some(What::Answered(answered)) = &event.what else {
            panic!("{event:?}")
        };
        assert_eq!(
            (event.id.as_str(), answered.text.as_str()),
            ("t1.answered", "you said: hello")
        );
        assert_eq!(
            (answered.provider.as_str(), answered.model.as_str()),
            ("127.0.0.1", "other")
        );
        assert_eq!(
            (
                answered.input_tokens,
                answered.output_tokens,
                answered.cost_micro_usd
            ),
            (10, 3, 6)
        );
        let outbound = bridge.outbound().await;
        assert_eq!(
            (outbound.id.as_str(), markdown(&outbound)),
            ("t1-0", "you said: hello")
        );

        let mut told = String::new();
        for seq in 1.. {
            let delta = bridge.delta().await;
            let kind = if seq == 1 {
                DeltaKind::Start
            } else {
                DeltaKind::Text
            };
            assert_eq!(
                (delta.seq, delta.kind(), delta.turn_id.as_str()),
                (seq, kind, "t1")
            );
            told += &delta.text;
            if told == "you said: hello" {
                assert!(seq > 2, "in more than one piece");
                break;
            }
        }
        let request = bridge.model.requests().remove(0);
        assert_eq!(
            (request.authorization.as_str(), request.model()),
            ("Bearer key", "other")
        );
        bridge.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_whole_or_uncounted_is_an_answer() {
    let mut bridge = Bridge::start(|_| ()).await;
    let uncounted = Answer {
        usage: false,
        ..Answer::default()
    };
    bridge
        .model
        .script([Answer::fault(Fault::Whole), uncounted]);
    for (id, output_tokens) in [("t1", 3), ("t2", 4)] {
        bridge
            .ask(&Turn {
                deliver: false,
                ..turn(id, "hello")
            })
            .await;
        let event = bridge.event().await;
        let Some(What::Answered(answered)) = &event.what else {
            panic!("{event:?}")
        };
        assert_eq!(
            (answered.text.as_str(), answered.output_tokens),
            ("you said: hello", output_tokens)
        );
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_session_is_answered_in_order_and_remembered_without_a_ledger() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge.model.script([Answer {
        delay: Duration::from_millis(100),
        ..Answer::default()
    }]);
    for n in 0..20 {
        bridge
            .ask(&turn(&format!("t{n}"), &format!("text {n}")))
            .await;
    }
    for n in 0..20 {
        assert_eq!(text(&bridge.event().await), format!("you said: text {n}"));
        assert_eq!(bridge.outbound().await.turn_id, format!("t{n}"));
    }
    let messages = bridge.model.requests().pop().unwrap().messages();
    assert_eq!(
        messages.len(),
        1 + 19 * 2 + 1,
        "the system prompt, what was said before, what is said now"
    );
    assert_eq!(messages[1], ("user".into(), "text 0".into()));
    assert_eq!(messages[2], ("assistant".into(), "you said: text 0".into()));
    bridge.stop().await;
}

#[tokio::test]
async fn the_model_gets_the_ledgers_history_without_the_line_it_answers() {
    let mut bridge = Bridge::start(|config| config.system_prompt = String::new()).await;
    let line = |turn_id: &str, role: &str, text: &str| Line {
        turn_id: turn_id.into(),
        role: role.into(),
        text: text.into(),
        ..Line::default()
    };
    let lines = vec![
        line("t0", "user", "first"),
        line("t1", "user", "now"),
        line("t2", "user", "later"),
        line("t0", "assistant", "answer"),
    ];
    let (bus, stop) = (bridge.bus.clone(), bridge.stop.clone());
    let ledger = tokio::spawn(async move {
        let reply = HistoryReply {
            lines,
            ..HistoryReply::default()
        };
        bus.answer(subject::HISTORY, &stop, move |asked: HistoryRequest| {
            let right =
                asked.session_key == "telegram:dm:7" && asked.since_ms == 5 && asked.limit == 50;
            std::future::ready(if right {
                Ok(reply.clone())
            } else {
                Err("asked for something else".into())
            })
        })
        .await
    });
    let question = HistoryRequest {
        session_key: "telegram:dm:7".into(),
        since_ms: 5,
        limit: 50,
        ..Default::default()
    };
    eventually("the ledger to answer", || async {
        bridge
            .bus
            .ask::<_, HistoryReply>(subject::HISTORY, &question, DEADLINE)
            .await
            .ok()
    })
    .await;

    for (id, text) in [("t1", "now"), ("t2", "later")] {
        bridge
            .ask(&Turn {
                session_started_at_ms: 5,
                ..turn(id, text)
            })
            .await;
        bridge.event().await;
        bridge.outbound().await;
    }
    let sent: Vec<Vec<String>> = bridge
        .model
        .requests()
        .iter()
        .map(|request| {
            request
                .messages()
                .into_iter()
                .map(|(_, text)| text)
                .collect()
        })
        .collect();
    assert_eq!(sent[0], ["first", "answer", "now"]);
    assert_eq!(
        sent[1],
        ["first", "answer", "now", "you said: now", "later"]
    );
    bridge.stop().await;
    ledger.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_turn_that_comes_twice_ends_once() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge
        .model
        .script([Answer::default(), Answer::fault(Fault::Status(401))]);
    bridge.ask_as(&turn("t1", "hello"), "delivered").await;
    assert_eq!(bridge.event().await.id, "t1.answered");
    assert_eq!(bridge.outbound().await.id, "t1-0");
    bridge.ask_as(&turn("t1", "hello"), "delivered again").await;
    bridge.ask(&turn("t2", "next")).await;
    assert_eq!(bridge.event().await.id, "t2.answered");
    assert_eq!(bridge.outbound().await.id, "t2-0");
    assert_eq!(bridge.model.asked(), 3);
    bridge.stop().await;
}

#[tokio::test]
async fn without_a_model_the_gateway_says_so_itself() {
    let mut bridge = Bridge::start(|config| config.url = String::new()).await;
    bridge.ask(&turn("t1", "hello")).await;
    assert!(text(&bridge.event().await).contains("OPENAI_API_KEY"));
    assert!(markdown(&bridge.outbound().await).starts_with("You said: hello"));
    assert_eq!(bridge.model.asked(), 0);
    bridge.stop().await;
}
