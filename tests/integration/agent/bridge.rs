//! An agent bridge with a bus and a model of its own, and ears on all that it says.

use agent_bridge::Config;
use bus::{Bus, Delivery, Outcome, Source};
use chassis::{Context, clock::now_ms};
use futures_util::StreamExt;
use proto::{
    subject,
    v1::{Address, Delta, Event, Outbound, Priority, Turn, event::What, outbound::Action},
};
use tests::{eventually::DEADLINE, model::Model, servers::Nats};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// An agent bridge in this process, on a bus and a model of its own.
pub(crate) struct Bridge {
    pub(crate) bus: Bus,
    pub(crate) model: Model,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    events: mpsc::UnboundedReceiver<Event>,
    outbounds: mpsc::UnboundedReceiver<Outbound>,
    deltas: mpsc::UnboundedReceiver<Delta>,
    _nats: Nats,
}

impl Bridge {
    pub(crate) async fn start(config: impl FnOnce(&mut Config)) -> Self {
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

    pub(crate) async fn ask(&self, turn: &Turn) {
        self.ask_as(turn, &turn.id).await;
    }

    pub(crate) async fn ask_as(&self, turn: &Turn, id: &str) {
        let subject = subject::turn(
            self.bus.partitions(),
            turn.priority(),
            &turn.agent,
            &turn.session_key,
        );
        self.bus.publish(&subject, id, turn).await.unwrap();
    }

    pub(crate) async fn event(&mut self) -> Event {
        next(&mut self.events, "an event").await
    }

    pub(crate) async fn outbound(&mut self) -> Outbound {
        next(&mut self.outbounds, "an outbound").await
    }

    pub(crate) async fn delta(&mut self) -> Delta {
        next(&mut self.deltas, "a delta").await
    }

    /// Stops it, and asserts that nothing happened that was not taken.
    pub(crate) async fn stop(mut self) {
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

pub(crate) fn turn(id: &str, text: &str) -> Turn {
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

pub(crate) fn markdown(outbound: &Outbound) -> &str {
    match &outbound.action {
        Some(Action::Text(text)) => &text.markdown,
        other => panic!("a text, not {other:?}"),
    }
}

pub(crate) fn text(event: &Event) -> &str {
    match &event.what {
        Some(What::Answered(answered)) => &answered.text,
        other => panic!("answered, not {other:?}"),
    }
}
