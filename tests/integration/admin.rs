//! The admin API on a real bus: what operators look at, put back, settle and send.

use std::net::SocketAddr;

use ::adapter::media::MediaStore;
use adapter_loopback::{Call, Platform, Request as Asked};
use bus::{Bucket, Bus, Delivery, Outcome, Source};
use proto::{
    subject,
    v1::{
        Address, Connection, ConnectionState, Outbound, Priority, SessionLine, SessionsReply,
        SessionsRequest, Text, Turn, outbound, sessions_client::SessionsClient,
    },
};
use tests::{
    eventually::{DEADLINE, eventually},
    servers::Nats,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

mod commands;
mod connections;
mod dead;
mod devices;
mod queues;
mod sending;
mod standard;
mod unknown;

const TOKEN: &str = "token-of-the-test-gateway-0123456789";

/// A control plane alone on a bus; tests play the other services, or start them.
struct Desk {
    nats: Nats,
    bus: Bus,
    admin: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
}

/// Sends a token with every call.
#[derive(Clone)]
struct Bearer(&'static str);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let bearer = format!("Bearer {}", self.0).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

type Admin = InterceptedService<Channel, Bearer>;

impl Desk {
    async fn open() -> Self {
        let nats = Nats::start();
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let stop = CancellationToken::new();
        let listeners = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let admin = listeners.1.local_addr().unwrap();
        let config = control_plane::Config {
            token: TOKEN.into(),
            ..control_plane::Config::default()
        };
        let ctx = chassis::Context::new(bus.clone(), stop.clone());
        let serving = tokio::spawn(control_plane::serve(ctx, config, listeners.0, listeners.1));
        Self {
            nats,
            bus,
            admin,
            stop,
            serving,
        }
    }

    /// The way in for a client of any service.
    fn door(&self) -> Admin {
        self.door_with(TOKEN)
    }

    fn door_with(&self, token: &'static str) -> Admin {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.admin)).unwrap();
        InterceptedService::new(endpoint.connect_lazy(), Bearer(token))
    }

    /// Handles the messages of the shards `shards` of `stream` until the test is over.
    fn work<M, F>(&self, stream: &'static str, shards: Vec<String>, handle: F) -> CancellationToken
    where
        M: prost::Message + Default + Clone + 'static,
        F: Fn(Delivery<M>) -> Outcome + Send + Sync + 'static,
    {
        let (settings, stop) = (
            bus::Settings {
                exclusive: true,
                ..self.nats.settings()
            },
            CancellationToken::new(),
        );
        let until = stop.clone();
        tokio::spawn(async move {
            let bus = Bus::connect(settings).await.unwrap();
            let source = Source {
                stream,
                group: format!("test-{stream}"),
                shards,
                in_hand: 1,
            };
            let lane = |_: &M| String::new();
            bus::consume(&bus, source, &until, lane, |delivery| {
                std::future::ready(handle(delivery))
            })
            .await
            .unwrap();
        });
        stop
    }

    /// Puts turns into `TURN` and gives each up for the reason that it says.
    async fn bury_turns(&self, reasons: &[&str]) {
        let reason = |delivery: Delivery<Turn>| Outcome::Dead(delivery.message.text);
        let before = self.bus.stream_state("DEAD").await.unwrap().messages;
        let stop = self.work("TURN", vec!["turn.0".into()], reason);
        for (n, reason) in reasons.iter().enumerate() {
            let turn = Turn {
                id: format!("t{before}-{n}"),
                text: (*reason).into(),
                ..Turn::default()
            };
            self.bus
                .publish("turn.0.n.main.x", &turn.id, &turn)
                .await
                .unwrap();
        }
        self.dead(before + reasons.len() as u64).await;
        stop.cancel();
    }

    /// Waits until there are so many dead letters, and nothing on its way to become one.
    async fn dead(&self, count: u64) {
        eventually("the dead letters", || async {
            (self.bus.stream_state("DEAD").await.ok()?.messages == count).then_some(())
        })
        .await;
    }

    async fn close(self) {
        self.stop.cancel();
        timeout(DEADLINE, self.serving)
            .await
            .expect("stops")
            .unwrap()
            .unwrap();
    }
}

/// A loopback account with its platform.
struct Account {
    platform: Platform,
    asked: mpsc::Receiver<Asked>,
    media: tempfile::TempDir,
}

impl Account {
    fn new() -> Self {
        let (platform, asked) = Platform::new("");
        Self {
            platform,
            asked,
            media: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts a process that runs it.
    async fn start(&self, desk: &Desk) -> CancellationToken {
        self.start_with(desk, adapter_loopback::Config::default())
            .await
    }

    async fn start_with(&self, desk: &Desk, config: adapter_loopback::Config) -> CancellationToken {
        let bus = Bus::connect(desk.nats.settings()).await.unwrap();
        let stop = CancellationToken::new();
        let ctx = chassis::Context::new(bus, stop.clone());
        let (media, platform) = (
            MediaStore::new(self.media.path(), 1000),
            self.platform.clone(),
        );
        tokio::spawn(
            async move { adapter_loopback::run(ctx, "main", media, config, platform).await },
        );
        stop
    }

    /// The next request that is more than typing.
    async fn asked(&mut self) -> Asked {
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
}

async fn connection(desk: &Desk, what: &str, wanted: impl Fn(&Connection) -> bool) -> Connection {
    let (bucket, wanted) = (&desk.bus.bucket(Bucket::Connections), &wanted);
    eventually(what, || async {
        let (connection, _) = bucket.get::<Connection>("loopback.main").await.ok()??;
        wanted(&connection).then_some(connection)
    })
    .await
}

fn is_connected(connection: &Connection) -> bool {
    connection.state() == ConnectionState::Connected
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

async fn publish(desk: &Desk, id: &str, markdown: &str) {
    let text = Text {
        markdown: markdown.into(),
        ..Text::default()
    };
    let action = Some(outbound::Action::Text(text));
    let outbound = Outbound {
        id: id.into(),
        to: Some(address("c")),
        action,
        ..Outbound::default()
    };
    let subject = subject::outbound(&address("c"), Priority::Normal);
    desk.bus.publish(&subject, id, &outbound).await.unwrap();
}

#[tokio::test]
async fn sessions_are_those_of_the_ledger_and_its_absence_is_told() {
    let desk = Desk::open().await;
    let mut sessions = SessionsClient::new(desk.door());
    let refused = sessions.list(SessionsRequest::default()).await.unwrap_err();
    assert!(
        refused
            .message()
            .starts_with("CONN_001: the ledger does not answer"),
        "{refused}"
    );
    assert_eq!(refused.metadata().get("openclaw-code").unwrap(), "CONN_001");

    let (bus, stop) = (desk.bus.clone(), desk.stop.clone());
    tokio::spawn(async move {
        bus.answer(
            subject::SESSIONS,
            &stop,
            |asked: SessionsRequest| async move {
                let line = SessionLine {
                    session_key: "telegram:dm:1".into(),
                    lines: asked.limit.into(),
                    ..SessionLine::default()
                };
                Ok(SessionsReply {
                    sessions: vec![line],
                    total: 1,
                })
            },
        )
        .await
    });
    let reply = eventually("the sessions", || {
        let mut sessions = sessions.clone();
        async move { sessions.list(SessionsRequest { limit: 7 }).await.ok() }
    });
    assert_eq!(reply.await.into_inner().sessions[0].lines, 7);
    desk.close().await;
}

#[tokio::test]
async fn no_service_answers_without_the_token() {
    let desk = Desk::open().await;
    let door = || desk.door_with("wrong");
    let statuses = [
        SessionsClient::new(door())
            .list(SessionsRequest::default())
            .await
            .unwrap_err(),
        proto::v1::dead_letters_client::DeadLettersClient::new(door())
            .list(proto::v1::DeadListRequest::default())
            .await
            .unwrap_err(),
        proto::v1::queues_client::QueuesClient::new(door())
            .list(proto::v1::QueuesRequest {})
            .await
            .unwrap_err(),
        proto::v1::messages_client::MessagesClient::new(door())
            .send(proto::v1::SendRequest::default())
            .await
            .unwrap_err(),
    ];
    for status in statuses {
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().starts_with("CONN_002: "), "{status}");
    }
    desk.close().await;
}
