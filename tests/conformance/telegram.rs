//! The Telegram adapter on a fake Bot API server.

use std::net::SocketAddr;

use adapter::media::MediaStore;
use adapter_telegram::{Config, Mode, Telegram};
use bus::{Bucket, Bus, Outcome, Source};
use proto::v1::{Address, Connection, Inbound, inbound::Body};
use tempfile::TempDir;
use tests::{
    eventually::eventually,
    platforms::telegram::{FakeTelegram, TOKEN},
    servers::{Nats, free_port},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

mod events;
mod failover;
mod hearing;
mod sending;
mod webhook;

/// What webhook calls must say.
const SECRET: &str = "a-secret-that-nobody-guesses";

/// An adapter between a fake Telegram and a bus of its own.
struct Line {
    telegram: FakeTelegram,
    nats: Nats,
    bus: Bus,
    folder: TempDir,
    heard: Mutex<mpsc::UnboundedReceiver<Inbound>>,
    stop: CancellationToken,
    reading: JoinHandle<()>,
}

impl Line {
    async fn open() -> Self {
        let nats = Nats::start();
        let bus = Bus::connect(bus::Settings {
            partitions: 1,
            ..nats.settings()
        })
        .await
        .expect("bus");
        let stop = CancellationToken::new();
        let (say, heard) = mpsc::unbounded_channel();
        let (reader, told) = (bus.clone(), stop.clone());
        // What the router would get, in the order in which it would get it.
        let reading = tokio::spawn(async move {
            let source = Source::partitions(&reader, "IN", "test");
            let one_lane = |_: &Inbound| String::new();
            let read = bus::consume(&reader, source, &told, one_lane, |delivery| {
                let _ = say.send(delivery.message);
                async { Outcome::Ack }
            });
            read.await.expect("reading IN");
        });
        let folder = tempfile::tempdir().expect("temporary folder");
        let heard = Mutex::new(heard);
        Self {
            telegram: FakeTelegram::start().await,
            nats,
            bus,
            folder,
            heard,
            stop,
            reading,
        }
    }

    /// Settings for polling; fast where waiting proves nothing.
    fn polling(&self) -> Config {
        Config {
            token: TOKEN.into(),
            api_url: self.telegram.url(),
            mode: Mode::Polling,
            poll_timeout_s: 2,
            request_timeout_ms: 2_000,
            file_timeout_s: 5,
            commands: false,
            ..Config::default()
        }
    }

    /// Settings for a webhook, and where it is.
    fn webhook(&self, mode: Mode) -> (Config, SocketAddr) {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = Config {
            mode,
            webhook_url: format!("http://{address}/telegram/main"),
            webhook_listen: address,
            webhook_secret: SECRET.into(),
            webhook_check_ms: 100,
            webhook_failures: 2,
            webhook_retry_ms: 1_000,
            webhook_read_ms: 500,
            webhook_patience_ms: 500,
            ..self.polling()
        };
        (config, address)
    }

    fn media(&self) -> MediaStore {
        MediaStore::new(self.folder.path(), 1024 * 1024)
    }

    fn adapter(&self, config: Config) -> Telegram {
        Telegram::new("main", self.media(), config).expect("good settings")
    }

    /// Runs the adapter until the line is closed.
    fn run(&self, config: Config) -> JoinHandle<anyhow::Result<()>> {
        let ctx = chassis::Context::new(self.bus.clone(), self.stop.clone());
        let media = self.media();
        tokio::spawn(async move { adapter_telegram::run(ctx, "main", media, config).await })
    }

    /// The next event on the bus.
    async fn heard(&self) -> Inbound {
        eventually("an event on the bus", || async {
            self.heard.lock().await.recv().await
        })
        .await
    }

    /// The texts of the next `count` messages.
    async fn texts(&self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(text(&self.heard().await));
        }
        texts
    }

    /// Nothing but what was heard is on the bus: a last word overtakes nobody in its conversation.
    async fn nothing_more(&self, chat: i64) {
        let id = self.telegram.say(chat, "the last word");
        assert_eq!(
            self.heard().await.dedupe_key,
            format!("telegram:main:{id}"),
            "something came before"
        );
    }

    /// Waits for a state of the connection, as operators see it.
    async fn connection(&self, what: &str, is: impl Fn(&Connection) -> bool) -> Connection {
        let bucket = self.bus.bucket(Bucket::Connections);
        eventually(what, || async {
            let (connection, _) = bucket.get::<Connection>("telegram.main").await.ok()??;
            is(&connection).then_some(connection)
        })
        .await
    }

    async fn close(self, adapter: JoinHandle<anyhow::Result<()>>) {
        self.stop.cancel();
        adapter.await.expect("no panic").expect("a clean end");
        self.reading.await.expect("no panic");
    }
}

/// The text of a message; empty for anything else.
fn text(inbound: &Inbound) -> String {
    match &inbound.body {
        Some(Body::Said(said)) => said
            .parts
            .first()
            .map(|part| part.text.clone())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

fn at(chat: i64) -> Address {
    Address {
        platform: "telegram".into(),
        account: "main".into(),
        conversation: chat.to_string(),
        ..Address::default()
    }
}
