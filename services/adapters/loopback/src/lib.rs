//! The template of an adapter: its platform lives in this process and does as it is told.

mod inbound;
mod outbound;
mod platform;

use std::time::Duration;

use adapter::{
    Account, Action, Adapter, Capabilities, Error, Inbox, OnUnknown, Proof, Rate, RetryPolicy,
    Streaming, Unit, Via, media::MediaStore,
};
use proto::v1::Address;
use serde::{Deserialize, Serialize};

pub use platform::{Answer, Call, Platform, Request, Update};

/// Settings of one account.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Credentials: what the platform expects of its clients.
    pub token: chassis::Secret,
    /// What to do with a message of which nobody can say whether it arrived: "hold" or "resend".
    pub on_unknown: OnUnknown,
    /// How an answer is shown while it is made: "off" or "edit".
    pub streaming: Streaming,
    /// Messages per second in one conversation; 0 for no limit.
    pub per_conversation_per_s: f64,
    /// Longest text of one message, in characters.
    pub max_text_chars: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token: chassis::Secret::default(),
            on_unknown: OnUnknown::Hold,
            streaming: Streaming::Off,
            per_conversation_per_s: 0.0,
            max_text_chars: 4096,
        }
    }
}

/// Runs the account `name` on `platform` until told to stop.
///
/// # Errors
/// When the bus gives up.
pub async fn run(
    ctx: chassis::Context,
    name: &str,
    media: MediaStore,
    config: Config,
    platform: Platform,
) -> anyhow::Result<()> {
    let account = Account {
        platform: outbound::PLATFORM.into(),
        name: name.into(),
        on_unknown: config.on_unknown,
        streaming: config.streaming,
        media,
    };
    adapter::run(ctx, account, Loopback { config, platform }).await
}

struct Loopback {
    config: Config,
    platform: Platform,
}

impl Adapter for Loopback {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            platform: outbound::PLATFORM,
            max_text: self.config.max_text_chars,
            unit: Unit::Chars,
            max_caption: 100,
            edits: true,
            deletes: true,
            reactions: true,
            buttons: false,
            typing: true,
            media: false,
            locations: false,
            threads: true,
            streaming: Streaming::Edit,
            min_edit_interval: Duration::from_secs(1),
            connection: Via::Events,
            retry: RetryPolicy::Exponential(Duration::from_secs(1)),
            rate: Rate {
                per_conversation_per_s: self.config.per_conversation_per_s,
                ..Rate::default()
            },
            idempotent: false,
        }
    }

    async fn receive(&self, inbox: &Inbox) -> Result<(), Error> {
        let mut poll = self
            .platform
            .poll(self.config.token.expose())
            .map_err(outbound::error)?;
        inbox.heard();
        loop {
            let update = poll.next().await;
            inbox.heard();
            if let Some(inbound) = inbound::from_update(&inbox.account().name, &update) {
                inbox.accept(inbound).await?;
            }
            // Only now may the platform forget it.
            poll.acknowledge();
        }
    }

    async fn send(&self, to: &Address, action: &Action) -> Result<String, Error> {
        let call = outbound::to_call(action)?;
        let (conversation, thread) = (to.conversation.clone(), to.thread.clone());
        let token = self.config.token.expose();
        outbound::result(self.platform.ask(token, conversation, thread, call).await)
    }

    async fn probe(&self) -> Result<Proof, Error> {
        let display_name = self
            .platform
            .who(self.config.token.expose())
            .map_err(outbound::error)?;
        Ok(Proof {
            display_name,
            via: Via::Events,
            detail: String::new(),
        })
    }
}
