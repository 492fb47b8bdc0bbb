//! The adapter's runner on the loopback platform: nothing lost, nothing shown twice, all in order.

use ::adapter::media::MediaStore;
use adapter_loopback::{Answer, Call, Config, Platform, Request, Update};
use bus::{Bucket, Bus, Delivery, Outcome, Source};
use futures_util::{StreamExt, stream::BoxStream};
use proto::{
    subject,
    v1::{
        Address, Connection, ConnectionState, Event, Inbound, Outbound, Priority, Text,
        event::What, outbound,
    },
};
use tests::{
    eventually::{DEADLINE, eventually},
    servers::Nats,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

mod hearing;
mod live;
mod sending;

/// A bus, a platform, and what it is asked.
struct World {
    nats: Nats,
    bus: Bus,
    platform: Platform,
    asked: mpsc::Receiver<Request>,
    media: tempfile::TempDir,
}

/// An adapter that runs as if in a process of its own.
struct Process {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl World {
    async fn new() -> Self {
        let nats = Nats::start();
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let (platform, asked) = Platform::new("secret");
        Self {
            nats,
            bus,
            platform,
            asked,
            media: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts an adapter that need not wait for anybody to lose the account.
    async fn start(&self, config: Config) -> Process {
        let settings = bus::Settings {
            exclusive: true,
            ..self.nats.settings()
        };
        self.start_on(settings, config).await
    }

    async fn start_on(&self, settings: bus::Settings, config: Config) -> Process {
        let bus = Bus::connect(settings).await.unwrap();
        let stop = CancellationToken::new();
        let ctx = chassis::Context::new(bus, stop.clone());
        let (media, platform) = (
            MediaStore::new(self.media.path(), 1000),
            self.platform.clone(),
        );
        let task = tokio::spawn(async move {
            adapter_loopback::run(ctx, "main", media, config, platform).await
        });
        Process { stop, task }
    }

    async fn publish(&self, conversation: &str, id: &str, text: &str) {
        self.publish_all(outbound(conversation, id, text)).await;
    }

    async fn publish_all(&self, outbound: Outbound) {
        let to = outbound.to.clone().unwrap();
        let subject = subject::outbound(&to, Priority::Normal);
        self.bus
            .publish(&subject, &outbound.id, &outbound)
            .await
            .unwrap();
    }

    /// The next request that is more than typing.
    async fn asked(&mut self) -> Request {
        loop {
            let request = timeout(DEADLINE, self.asked.recv())
                .await
                .expect("a request")
                .unwrap();
            if request.call != Call::Type {
                return request;
            }
        }
    }

    /// Takes the next request, does it, and returns its text.
    async fn done(&mut self) -> String {
        let request = self.asked().await;
        let text = request.text().to_owned();
        request.answer(Answer::Done(format!("id of {text}")));
        text
    }

    async fn events(&self) -> BoxStream<'static, What> {
        let events = self.bus.follow::<Event>("EVENT", 0).await.unwrap();
        events
            .filter_map(|record| async move { record.message?.what })
            .boxed()
    }

    async fn connection(&self, wanted: ConnectionState) -> Connection {
        let bucket = self.bus.bucket(Bucket::Connections);
        let bucket = &bucket;
        eventually(wanted.as_str_name(), || async {
            let (connection, _) = bucket.get::<Connection>("loopback.main").await.ok()??;
            (connection.state() == wanted).then_some(connection)
        })
        .await
    }

    /// Takes what comes in, as a router would.
    async fn router(&self) -> mpsc::Receiver<Inbound> {
        let settings = bus::Settings {
            exclusive: true,
            ..self.nats.settings()
        };
        let bus = Bus::connect(settings).await.unwrap();
        let (tell, told) = mpsc::channel(8);
        tokio::spawn(async move {
            let source = Source::partitions(&bus, "IN", "test");
            let lane = |inbound: &Inbound| inbound.session_key.clone();
            let take = |delivery: Delivery<Inbound>| {
                let tell = tell.clone();
                async move {
                    tell.send(delivery.message).await.ok();
                    Outcome::Ack
                }
            };
            bus::consume(&bus, source, &CancellationToken::new(), lane, take).await
        });
        told
    }

    async fn all_forgotten(&self) {
        eventually("the platform to forget it", || async {
            (self.platform.unheard() == 0).then_some(())
        })
        .await;
    }
}

impl Process {
    /// Ends as with SIGKILL: nothing more is done or written.
    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(DEADLINE, self.task)
            .await
            .expect("stops")
            .unwrap()
            .unwrap();
    }
}

fn config() -> Config {
    Config {
        token: "secret".into(),
        ..Config::default()
    }
}

fn address(conversation: &str) -> Address {
    let (platform, account) = ("loopback".into(), "main".into());
    Address {
        platform,
        account,
        conversation: conversation.into(),
        ..Address::default()
    }
}

fn outbound(conversation: &str, id: &str, text: &str) -> Outbound {
    let text = Text {
        markdown: text.into(),
        ..Text::default()
    };
    Outbound {
        id: id.into(),
        to: Some(address(conversation)),
        action: Some(outbound::Action::Text(text)),
        session_key: format!("loopback:dm:{conversation}"),
        ..Outbound::default()
    }
}

fn update(id: &str, text: &str) -> Update {
    let (id, text) = (id.into(), text.into());
    Update {
        id,
        conversation: "c".into(),
        sender: "anna".into(),
        text,
        ..Update::default()
    }
}

async fn next<T>(
    what: &str,
    events: &mut BoxStream<'static, What>,
    pick: fn(What) -> Option<T>,
) -> T {
    let find = async {
        loop {
            if let Some(found) = events.next().await.and_then(pick) {
                return found;
            }
        }
    };
    timeout(DEADLINE, find)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

async fn said(router: &mut mpsc::Receiver<Inbound>) -> Inbound {
    timeout(DEADLINE, router.recv())
        .await
        .expect("an inbound")
        .unwrap()
}
