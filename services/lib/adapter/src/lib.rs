//! The trait by which the gateway sees a chat platform, and the loop that runs one.

mod account;
mod action;
mod capabilities;
mod control;
mod gates;
mod hearing;
mod hold;
mod inbox;
mod intents;
mod janitor;
mod key;
mod limits;
mod live;
pub mod markdown;
mod measures;
pub mod media;
mod outbox;
mod pace;
mod plan;
mod recall;
mod rich;
mod status;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context;
use bus::Source;
use proto::{
    subject,
    v1::{Address, Outbound},
};

use control::Control;
use gates::Gates;
use hearing::Hearing;
use hold::Hold;
use intents::Intents;
use live::Live;
use outbox::Outbox;
use pace::Pace;
use status::Status;

pub use account::{Account, OnUnknown};
pub use action::Action;
pub use capabilities::{Capabilities, Rate, RetryPolicy, Streaming, Via};
pub use inbox::Inbox;
pub use key::key;
pub use rich::{Rich, Span, Style, Unit};

/// Outbounds in hand at once: each waits for its own conversation's limits.
const IN_HAND: usize = 256;

/// A chat platform, seen through one account on it.
///
/// An adapter translates and transports. It keeps no queue, retries nothing, and knows nothing of sessions or agents.
pub trait Adapter: Send + Sync + 'static {
    /// What the platform can do. Constant for the life of the process.
    fn capabilities(&self) -> Capabilities;

    /// Hears the platform until the connection ends; the runner calls again after a pause.
    ///
    /// Call [`Inbox::heard`] whenever the platform has proved that it hears us. Await [`Inbox::accept`] before
    /// acknowledging an event to the platform: what the platform believes delivered must be on the bus. The future is
    /// dropped when the service stops or another process takes the account over.
    fn receive(&self, inbox: &Inbox) -> impl Future<Output = Result<(), Error>> + Send;

    /// Does one action on the platform and returns the platform's id of the result; empty where there is none.
    ///
    /// Called in order within a conversation, only for actions that the capabilities allow, and never twice for the
    /// same action unless the first answer said that nothing was done. [`key`] names the action.
    fn send(
        &self,
        to: &Address,
        action: &Action,
    ) -> impl Future<Output = Result<String, Error>> + Send;

    /// Asks the platform something that only it, with these credentials, can answer. Called every 30 s.
    fn probe(&self) -> impl Future<Output = Result<Proof, Error>> + Send;
}

/// What a probe brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Name of the account on the platform, such as "@some_bot".
    pub display_name: String,
    /// How the platform is heard now; may differ from [`Capabilities::connection`] after a fallback.
    pub via: Via,
    /// More for people to read, such as "webhook, 3 updates wait"; may be empty. No secrets.
    pub detail: String,
}

/// The cause of an error, whatever its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the platform did not do as asked: one variant for each thing the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too fast. Nothing was sent; try again after this.
    #[error("rate limited for {0:?}")]
    RateLimited(Duration),
    /// Nothing was sent; try again.
    #[error("platform unavailable")]
    Unavailable(#[source] BoxError),
    /// It may have been sent; trying again may repeat it.
    #[error("delivery unknown")]
    Unknown(#[source] BoxError),
    /// The platform refuses this message; it would refuse it again.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The credentials are no longer good; a person must act. Says what the platform said, without the secret.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
}

/// Runs one account on its platform until told to stop.
///
/// The account is heard by one process at a time, and sends through one process at a time, however many run it. It is
/// ready at once: a platform that is away is a state of the connection, not of the service.
///
/// # Errors
/// When the connection to the bus is closed for good.
pub async fn run<A: Adapter>(
    ctx: chassis::Context,
    account: Account,
    adapter: A,
) -> anyhow::Result<()> {
    let chassis::Context { bus, stop, ready } = ctx;
    let (account, adapter) = (Arc::new(account), Arc::new(adapter));
    let capabilities = adapter.capabilities();
    let status = Arc::new(Status::new(&account, capabilities.connection));
    let intents = Arc::new(Intents::new(&bus));
    let pace = Arc::new(Pace::new(capabilities.rate, stop.clone()));
    let live = Arc::new(Live {
        adapter: adapter.clone(),
        account: account.clone(),
        capabilities: capabilities.clone(),
        intents: intents.clone(),
        pace: pace.clone(),
        fences: Mutex::default(),
        turns: Mutex::default(),
    });
    let control = Arc::new(Control::new(&account, &status));
    let hearing = Hearing {
        control: control.clone(),
        adapter: adapter.clone(),
        account: account.clone(),
        bus: bus.clone(),
        status: status.clone(),
        retry: capabilities.retry,
    };
    let hold = Hold::new(&bus, &account);
    let shard = subject::account(&account.platform, &account.name);
    let (platform, name) = (account.platform.clone(), account.key());
    let outbox = Outbox {
        adapter,
        account,
        capabilities,
        bus: bus.clone(),
        intents,
        pace,
        live: live.clone(),
        status,
        stop: stop.clone(),
        gates: Gates::default(),
        progress: Mutex::default(),
    };
    if let Err(error) = outbox.account.media.sweep().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "media folder not swept"
        );
    }
    tracing::info!(account = %name, "adapter of {platform} starts as `{name}`");
    drop(ready);
    let poll = format!("poll.{name}");
    loop {
        hold.ended(&stop).await;
        let part = control.take_part(&stop);
        let hear = bus::owned(&bus, &poll, &poll, &part, |fence, lost| {
            live.hears(&fence);
            hearing.run(fence, lost)
        });
        let source = Source {
            stream: "OUT",
            group: shard.clone(),
            shards: vec![shard.clone()],
            in_hand: IN_HAND,
        };
        let send = bus::consume(&bus, source, &part, conversation, |delivery| {
            outbox.deliver(delivery)
        });
        let tidy = janitor::run(&bus, &part);
        let heed = async {
            if hold.begun(&part).await {
                control.hold();
            }
            Ok(())
        };
        tokio::try_join!(hear, send, live.run(&bus, &part), tidy, heed)
            .context("the bus is closed")?;
        if stop.is_cancelled() {
            return Ok(());
        }
        if control.is_held() {
            continue;
        }
        control
            .wait(&bus, &stop)
            .await
            .context("the bus is closed")?;
    }
}

/// What must stay in order.
fn conversation(outbound: &Outbound) -> String {
    outbound
        .to
        .as_ref()
        .map(|to| to.conversation.clone())
        .unwrap_or_default()
}
