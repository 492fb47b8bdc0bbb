//! The trait by which the gateway sees a chat platform, and the loop that runs one.

mod account;
mod action;
mod capabilities;
mod inbox;
mod key;
pub mod markdown;
pub mod media;
mod rich;
mod status;

use std::time::Duration;

use proto::v1::Address;

pub use account::{Account, OnUnknown};
pub use action::Action;
pub use capabilities::{Capabilities, Rate, RetryPolicy, Streaming, Via};
pub use inbox::Inbox;
pub use key::key;
pub use rich::{Rich, Span, Style, Unit};

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
    fn send(&self, to: &Address, action: &Action) -> impl Future<Output = Result<String, Error>> + Send;

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
/// # Errors
/// When the bus refuses to work at all. Whatever the platform does is no error: it is a state of the connection.
pub async fn run<A: Adapter>(ctx: chassis::Context, account: Account, adapter: A) -> anyhow::Result<()> {
    let _ = (ctx, account, adapter);
    Ok(())
}
