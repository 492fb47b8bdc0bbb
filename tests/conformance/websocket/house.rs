//! Two replicas of the gateway with a router, an agent and a ledger behind them, all real but the model.

use std::{net::SocketAddr, path::Path};

use bus::Bus;
use proto::{
    id, priority, session, subject,
    v1::{Address, ConversationKind, Inbound, Mentions, Part, Said, Sender, inbound::Body},
};
use tempfile::TempDir;
use tests::{
    eventually::eventually,
    model::Model,
    servers::{Nats, Redis},
};
use tokio::task::JoinSet;

use super::*;

/// The services, and what outlives them.
pub(super) struct House {
    pub(super) bus: Bus,
    pub(super) model: Model,
    at: [SocketAddr; 2],
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
    nats: Nats,
    redis: Redis,
    folder: TempDir,
}

impl House {
    pub(super) async fn build() -> Self {
        let (nats, redis, model) = (Nats::start(), Redis::start(), Model::start().await);
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.sqlite");
        let (bus, stop, at, tasks) = open(&nats, &redis, &model, &ledger).await;
        Self {
            bus,
            model,
            at,
            stop,
            tasks,
            nats,
            redis,
            folder,
        }
    }

    /// A client of one of the two replicas that was let in with all scopes.
    pub(super) async fn client(&self, replica: usize, protocol: u8) -> Client {
        let mut client = Client::open(self.at[replica], "/", &[]).await;
        client.shake(connect(protocol)).await;
        client
    }

    /// Where a replica listens.
    pub(super) fn address(&self, replica: usize) -> SocketAddr {
        self.at[replica]
    }

    /// Ends all services and starts them again on what they left.
    pub(super) async fn restart(self) -> Self {
        let Self {
            model,
            stop,
            mut tasks,
            nats,
            redis,
            folder,
            ..
        } = self;
        stop.cancel();
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        let ledger = folder.path().join("ledger.sqlite");
        let (bus, stop, at, tasks) = open(&nats, &redis, &model, &ledger).await;
        Self {
            bus,
            model,
            at,
            stop,
            tasks,
            nats,
            redis,
            folder,
        }
    }

    /// A person says something on the loopback platform; returns its id.
    pub(super) async fn say(&self, kind: ConversationKind, chat: &str, text: &str) -> String {
        let n = uuid::Uuid::new_v4();
        let dedupe_key = format!("loopback:main:{n}");
        let mut address = Address {
            platform: "loopback".into(),
            account: "main".into(),
            conversation: chat.into(),
            title: "The team".into(),
            ..Address::default()
        };
        address.set_kind(kind);
        let said = Said {
            message_id: n.to_string(),
            parts: vec![Part {
                text: text.into(),
                ..Part::default()
            }],
            mentions: Some(Mentions::default()),
            ..Said::default()
        };
        let inbound = Inbound {
            id: id::of_event(&dedupe_key),
            dedupe_key,
            address: Some(address.clone()),
            sender: Some(Sender {
                id: chat.into(),
                display_name: "Ann".into(),
                ..Sender::default()
            }),
            received_at_ms: chassis::clock::now_ms(),
            body: Some(Body::Said(said)),
            ..Inbound::default()
        };
        let key = session::Key::of(&address, inbound.sender.as_ref().unwrap()).to_string();
        let urgency = priority::of(&inbound);
        let to = subject::inbound(self.bus.partitions(), urgency, "loopback", &key);
        self.bus.publish(&to, &inbound.id, &inbound).await.unwrap();
        inbound.id
    }
}

async fn open(
    nats: &Nats,
    redis: &Redis,
    model: &Model,
    ledger: &Path,
) -> (
    Bus,
    CancellationToken,
    [SocketAddr; 2],
    JoinSet<anyhow::Result<()>>,
) {
    let bus = Bus::connect(nats.settings()).await.unwrap();
    let stop = CancellationToken::new();
    let context = || chassis::Context::new(bus.clone(), stop.clone());
    let mut tasks = JoinSet::new();
    let mut at = Vec::new();
    for _ in 0..2 {
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        at.push(web.local_addr().unwrap());
        let config = Config {
            token: TOKEN.into(),
            ..Config::default()
        };
        tasks.spawn(control_plane::serve(context(), config, web, admin));
    }
    let open = router::Access {
        direct: router::Direct::Open,
        group: router::Group::Open,
        ..router::Access::default()
    };
    let config = router::Config {
        access: [("loopback".to_owned(), open)].into_iter().collect(),
        ..router::Config::default()
    };
    let (ctx, url) = (context(), redis.url());
    tasks.spawn(async move { router::run(ctx, config, &url).await });
    let config = ledger::Config {
        path: ledger.to_owned(),
        ..ledger::Config::default()
    };
    tasks.spawn(ledger::run(context(), config));
    let config = agent_bridge::Config {
        url: model.url(),
        model: "settings-model".into(),
        system_prompt: "Be brief.".into(),
        ..agent_bridge::Config::default()
    };
    tasks.spawn(agent_bridge::run(context(), config));
    let at: [SocketAddr; 2] = at.try_into().unwrap();
    for at in at {
        eventually("the ledger to answer", async || {
            let mut client = Client::try_open(at, "/", &[]).await.ok()?;
            client.shake(connect(4)).await;
            let answer = client.call("sessions.list", json!({})).await;
            (answer["ok"] == true).then_some(())
        })
        .await;
    }
    (bus, stop, at, tasks)
}

impl Client {
    /// Says something in a session and waits for the answer's end.
    pub(super) async fn chat(&mut self, key: &str, text: &str) -> Value {
        let run = uuid::Uuid::new_v4().to_string();
        let message = json!({"sessionKey": key, "message": text, "idempotencyKey": run});
        self.done("chat.send", message).await;
        loop {
            let event = self.event("chat").await;
            let state = event["payload"]["state"].as_str().unwrap().to_owned();
            if event["payload"]["runId"] == run.as_str()
                && matches!(&*state, "final" | "error" | "aborted")
            {
                return event["payload"].clone();
            }
        }
    }

    /// The row of a session.
    pub(super) async fn row(&mut self, key: &str) -> Value {
        let described = self.done("sessions.describe", json!({"key": key})).await;
        described["session"].clone()
    }

    /// The texts of a session.
    pub(super) async fn texts(&mut self, key: &str) -> Vec<String> {
        let told = self.done("sessions.get", json!({"key": key})).await;
        let messages = told["messages"].as_array().unwrap().iter();
        let text = |message: &Value| message["content"][0]["text"].as_str().unwrap().to_owned();
        messages.map(text).collect()
    }
}
