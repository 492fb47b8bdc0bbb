//! Telegram, seen through one bot: hears by webhook or long polling, speaks by the Bot API.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use adapter::{
    Account, Action, Adapter, Capabilities, Error, Inbox, Proof, RetryPolicy, Unit, Via,
    media::MediaStore,
};
use anyhow::Context as _;
use proto::v1::Address;
use serde_json::{Value, json};
use tokio::{sync::OnceCell, time::sleep};
use tracing::{info, warn};

use crate::{
    api::{Api, Failure},
    files::Limits,
    inbound::Identity,
    outbound::Request,
    watch::polling_time,
};

pub use config::{Config, Mode};

mod api;
mod config;
mod files;
pub mod inbound;
mod lanes;
pub mod outbound;
mod polling;
mod refusal;
mod serving;
mod watch;
mod webhook;

/// The commands shown in Telegram's menu; the router answers them.
const COMMANDS: [(&str, &str); 5] = [
    ("start", "Say hello"),
    ("help", "What I can do"),
    ("status", "How I am doing"),
    ("new", "Begin a new conversation"),
    ("stop", "Stop the answer that is being written"),
];

/// Carries messages between the bus and one Telegram bot until told to stop.
///
/// # Errors
/// When the settings are wrong, or when the bus gives up.
pub async fn run(
    ctx: chassis::Context,
    name: &str,
    media: MediaStore,
    config: Config,
) -> anyhow::Result<()> {
    let account = Account {
        platform: "telegram".into(),
        name: name.to_owned(),
        on_unknown: config.on_unknown,
        streaming: config.streaming,
        media: media.clone(),
    };
    let telegram = Telegram::new(name, media, config)?;
    adapter::run(ctx, account, telegram).await
}

/// One bot on Telegram.
#[derive(Debug)]
pub struct Telegram {
    api: Arc<Api>,
    config: Config,
    account: String,
    identity: OnceCell<Identity>,
    greeted: AtomicBool,
    /// First update that is not yet on the bus; 0 asks Telegram.
    offset: AtomicI64,
    /// Webhook calls answered well.
    delivered: Arc<AtomicU64>,
    now: Mutex<Now>,
}

/// How it is heard at the moment.
#[derive(Clone, Debug, Default)]
struct Now {
    via: Via,
    /// Why the webhook is not reached; empty while it is, or while there is none.
    trouble: String,
}

impl Telegram {
    /// The bot that `config` names, as the account `name`; files go to and come from `media`.
    ///
    /// # Errors
    /// When a setting is wrong; says which, and what to write instead.
    pub fn new(name: &str, media: MediaStore, config: Config) -> anyhow::Result<Self> {
        if let Some((setting, what, instead)) = config.mistakes().first() {
            anyhow::bail!("telegram.{name}.{setting} {what}; write {instead}");
        }
        anyhow::ensure!(
            !config.token.is_empty(),
            "telegram.{name}.token is missing; write the token from @BotFather"
        );
        let api = Api::new(&config, media).context("HTTP client for Telegram")?;
        Ok(Self {
            api: Arc::new(api),
            config,
            account: name.to_owned(),
            identity: OnceCell::new(),
            greeted: AtomicBool::new(false),
            offset: AtomicI64::new(0),
            delivered: Arc::default(),
            now: Mutex::default(),
        })
    }

    /// Calls a method by its name.
    async fn method(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        self.api
            .call(Request {
                method,
                params,
                files: Vec::new(),
            })
            .await
    }

    /// Who the bot is, asked once.
    async fn identity(&self) -> Result<Identity, Error> {
        let asked = self.identity.get_or_try_init(|| async {
            let me = self.method("getMe", json!({})).await?;
            let id = me["id"]
                .as_i64()
                .map(|id| id.to_string())
                .unwrap_or_default();
            let username = me["username"].as_str().unwrap_or_default().to_owned();
            Ok::<_, Error>(Identity { id, username })
        });
        asked.await.cloned()
    }

    /// Puts the commands into Telegram's menu, once. They work without standing there.
    async fn greet(&self) {
        if !self.config.commands || self.greeted.swap(true, Ordering::AcqRel) {
            return;
        }
        let commands = COMMANDS
            .map(|(command, description)| json!({"command": command, "description": description}));
        if let Err(failure) = self
            .method("setMyCommands", json!({"commands": commands}))
            .await
        {
            let error = Error::from(failure);
            warn!(
                error = &error as &dyn std::error::Error,
                "commands not put into the menu"
            );
        }
    }

    fn limits(&self) -> Limits {
        let patience = Duration::from_secs(self.config.file_timeout_s);
        Limits {
            max_bytes: self.config.max_file_bytes,
            patience,
        }
    }

    fn now(&self) -> Now {
        self.now
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn turn(&self, inbox: &Inbox, via: Via, trouble: &str) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Now {
            via,
            trouble: trouble.to_owned(),
        };
        inbox.via(via);
    }
}

impl Adapter for Telegram {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            platform: "telegram",
            max_text: outbound::MAX_TEXT,
            unit: Unit::Utf16,
            max_caption: outbound::MAX_CAPTION,
            edits: true,
            deletes: true,
            reactions: true,
            buttons: true,
            typing: true,
            media: true,
            locations: true,
            threads: true,
            streaming: self.config.streaming,
            min_edit_interval: Duration::from_millis(self.config.min_edit_ms),
            connection: if self.config.wants_webhook() {
                Via::Webhook
            } else {
                Via::Polling
            },
            retry: RetryPolicy::Exponential(Duration::from_secs(1)),
            rate: self.config.rate(),
            idempotent: false,
        }
    }

    async fn receive(&self, inbox: &Inbox) -> Result<(), Error> {
        self.identity().await?;
        self.greet().await;
        if !self.config.wants_webhook() {
            self.turn(inbox, Via::Polling, "");
            return self.poll(inbox, std::future::pending()).await;
        }
        let mut failures = 0;
        loop {
            let delivered = self.delivered.load(Ordering::Relaxed);
            let why = match self.serve(inbox).await {
                Err(error @ Error::Unauthorized(_)) => return Err(error),
                ended if self.config.mode == Mode::Webhook => return ended,
                Ok(()) => "Telegram does not reach the webhook".to_owned(),
                Err(error) => format!("the webhook cannot be used: {}", chain(&error)),
            };
            let worked = self.delivered.load(Ordering::Relaxed) > delivered;
            failures = if worked { 1 } else { failures + 1 };
            let time = polling_time(
                Duration::from_millis(self.config.webhook_retry_ms),
                failures,
            );
            warn!(
                why,
                "polling for {} s instead of the webhook",
                time.as_secs()
            );
            metrics::counter!("openclaw_telegram_failovers_total").increment(1);
            self.turn(inbox, Via::Polling, &why);
            self.poll(inbox, sleep(time)).await?;
            info!("trying the webhook again");
        }
    }

    async fn send(&self, to: &Address, action: &Action) -> Result<String, Error> {
        let answer = self.api.call(outbound::to_request(to, action)?).await?;
        Ok(outbound::message_id(&answer))
    }

    async fn probe(&self) -> Result<Proof, Error> {
        let me = self.method("getMe", json!({})).await?;
        let now = self.now();
        let mut detail = now.trouble;
        if now.via == Via::Webhook {
            let info = self.method("getWebhookInfo", json!({})).await?;
            if !detail.is_empty() {
                return Err(Error::Unavailable(detail.into()));
            }
            detail = format!("webhook, {} updates wait", info["pending_update_count"]);
        }
        let display_name = me["username"]
            .as_str()
            .map(|name| format!("@{name}"))
            .unwrap_or_default();
        Ok(Proof {
            display_name,
            via: now.via,
            detail,
        })
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
