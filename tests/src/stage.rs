//! A whole system on fakes: servers, a fake Telegram, a fake model, and the real program in one process or many.

use std::{
    collections::HashMap,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    eventually::eventually,
    gateway::{Gateway, Service},
    model::Model,
    platforms::telegram::{FakeTelegram, TOKEN},
    servers::{Nats, Redis},
};

/// Secret that webhook calls carry.
const SECRET: &str = "a-webhook-secret-of-32-characters";

/// Token of every gateway on a stage.
pub const GATEWAY_TOKEN: &str = "token-of-the-test-gateway-0123456789";

/// How the adapter hears the fake Telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// It asks.
    Polling,
    /// It is called.
    Webhook,
}

/// The outside world: a platform, a model, and the settings that point at them.
pub struct Fakes {
    /// The platform.
    pub telegram: FakeTelegram,
    /// The model.
    pub model: Model,
    folder: TempDir,
}

/// Fakes, and servers that the program shares with the test.
pub struct Stage {
    /// The outside world.
    pub fakes: Fakes,
    /// The bus.
    pub nats: Nats,
    /// Soft state.
    pub redis: Redis,
}

impl Stage {
    /// Sets everything up but the program itself. `extra` is added to the settings file.
    ///
    /// # Panics
    /// When a server does not start.
    pub async fn set(hears: Hears, extra: &str) -> Self {
        Self::set_on(Nats::start(), hears, extra).await
    }

    /// [`Stage::set`] on a nats-server that runs already.
    ///
    /// # Panics
    /// When a server does not start.
    pub async fn set_on(nats: Nats, hears: Hears, extra: &str) -> Self {
        let redis = Redis::start();
        let servers = format!(
            "[bus]\nurls = [\"{}\"]\n\n[redis]\nurl = \"{}\"\n\n",
            nats.url(),
            redis.url()
        );
        Self {
            fakes: Fakes::set(hears, &(servers + extra)).await,
            nats,
            redis,
        }
    }
}

impl Deref for Stage {
    type Target = Fakes;

    fn deref(&self) -> &Fakes {
        &self.fakes
    }
}

impl Fakes {
    /// Sets up the outside world only: the program brings its own servers.
    ///
    /// # Panics
    /// When a fake does not start.
    pub async fn set(hears: Hears, extra: &str) -> Self {
        let fakes = Self {
            telegram: FakeTelegram::start().await,
            model: Model::start().await,
            folder: tempfile::Builder::new()
                .prefix("stage-")
                .tempdir()
                .expect("temporary folder"),
        };
        fs::write(fakes.file(), fakes.settings(hears) + extra).expect("settings file");
        fakes
    }

    /// Limits far above what the fake is asked for, so that a test measures the gateway and not its patience.
    fn settings(&self, hears: Hears) -> String {
        let webhook = crate::servers::free_port();
        let mode = match hears {
            Hears::Polling => "polling",
            Hears::Webhook => "webhook",
        };
        format!(
            "[agent]\nurl = \"{model}\"\nmodel = \"fake\"\napi_key = \"none\"\n\n\
             [gateway]\nport = 0\ncanvas_port = 0\nadmin_listen = \"127.0.0.1:0\"\n\n[ledger]\npath = \"{ledger}\"\n\n[router]\nuser_per_minute = 0\nplatform_per_second = 0\n\n\
             [router.access.telegram]\ndirect = \"open\"\n\n[telegram.main]\ntoken = \"{TOKEN}\"\n\
             api_url = \"{telegram}\"\nmode = \"{mode}\"\nwebhook_url = \"http://127.0.0.1:{webhook}/telegram\"\n\
             webhook_listen = \"127.0.0.1:{webhook}\"\nwebhook_secret = \"{SECRET}\"\nper_account_per_s = 100000.0\n\
             per_chat_per_s = 10000.0\nburst = 10000\nper_group_per_min = 100000.0\n\n",
            model = self.model.url(),
            ledger = self.folder.path().join("ledger.sqlite").display(),
            telegram = self.telegram.url(),
        )
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("openclaw.toml")
    }

    /// Every service in one process.
    pub fn gateway(&self) -> Gateway {
        Gateway::start(&self.env(&self.file().display().to_string()), &[])
    }

    /// Every service in one process that works in `folder`, with `more` of the environment.
    pub fn gateway_in(&self, folder: &Path, more: &[(&str, &str)]) -> Gateway {
        let file = self.file().display().to_string();
        let env: Vec<_> = self
            .env(&file)
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        Gateway::start_in(folder, &env, &[])
    }

    /// One service in a process of its own.
    pub fn service(&self, name: &str) -> Service {
        self.service_with(name, &[])
    }

    /// One service in a process of its own, with `env` over the settings.
    pub fn service_with(&self, name: &str, env: &[(&str, &str)]) -> Service {
        let file = self.file().display().to_string();
        let all: Vec<_> = self
            .env(&file)
            .into_iter()
            .chain(env.iter().copied())
            .collect();
        Service::start(name, &all)
    }

    fn env<'a>(&self, file: &'a str) -> [(&'static str, &'a str); 2] {
        [
            ("OPENCLAW_CONFIG", file),
            ("OPENCLAW_GATEWAY_TOKEN", GATEWAY_TOKEN),
        ]
    }

    /// Has each of `chats` say these messages, all chats in turn.
    pub fn say(&self, chats: &[i64], numbers: std::ops::Range<usize>) {
        for n in numbers {
            for chat in chats {
                self.telegram.say(*chat, &text(*chat, n));
            }
        }
    }

    /// Waits until every message of each of `chats` is answered.
    ///
    /// # Panics
    /// When an answer is missing for good, twice there, or before an earlier one.
    pub async fn answered(&self, chats: &[i64], each: usize) {
        let here = || {
            chats
                .iter()
                .map(|chat| self.telegram.sent(*chat).len())
                .sum::<usize>()
        };
        loop {
            let before = here();
            if before >= chats.len() * each {
                break;
            }
            // Each step has the whole deadline: what counts is that it goes on.
            eventually("the next answer", || async {
                (here() > before).then_some(())
            })
            .await;
        }
        for chat in chats {
            self.in_order(*chat, each);
        }
    }

    /// Panics unless the answers of `chat` are distinct and in order.
    pub fn in_order(&self, chat: i64, each: usize) {
        let numbers: HashMap<String, usize> = (0..each).map(|n| (answer(chat, n), n)).collect();
        let mut last = None;
        for sent in self.telegram.sent(chat) {
            let Some(n) = numbers.get(&sent.text) else {
                panic!("chat {chat} got `{}`", sent.text)
            };
            assert!(last < Some(*n), "chat {chat} got {n} after {last:?}");
            last = Some(*n);
        }
    }
}

/// Message `n` of `chat`.
#[must_use]
pub fn text(chat: i64, n: usize) -> String {
    format!("message {n} of {chat}")
}

/// What the fake model answers to it.
#[must_use]
pub fn answer(chat: i64, n: usize) -> String {
    format!("you said: {}", text(chat, n))
}

/// Chats of different people, `count` of them.
#[must_use]
pub fn chats(count: i64) -> Vec<i64> {
    (1001..=1000 + count).collect()
}
