//! What a platform can do, how fast, and how its connection is mended.

use std::time::Duration;

use proto::v1::{Outbound, outbound};

use crate::Unit;

/// What a platform can do. What is false here is never asked of the adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Lower-case name, as in [`proto::v1::Address::platform`].
    pub platform: &'static str,
    /// Longest text of one message, in `unit`. Longer texts are split.
    pub max_text: usize,
    /// What `max_text` and `max_caption` count.
    pub unit: Unit,
    /// Longest caption of a file, in `unit`. What does not fit follows as a text.
    pub max_caption: usize,
    /// Sent texts can be edited.
    pub edits: bool,
    /// Sent messages can be deleted.
    pub deletes: bool,
    /// Messages can be reacted to.
    pub reactions: bool,
    /// Messages can have buttons, and the press of one wants an answer.
    pub buttons: bool,
    /// It can be shown that an answer is being written.
    pub typing: bool,
    /// Files can be sent.
    pub media: bool,
    /// Places can be sent.
    pub locations: bool,
    /// Conversations have threads or topics.
    pub threads: bool,
    /// How an answer can be shown while it is made.
    pub streaming: Streaming,
    /// Shortest time between two edits of one message.
    pub min_edit_interval: Duration,
    /// How the platform is usually heard.
    pub connection: Via,
    /// Pauses between attempts to connect.
    pub retry: RetryPolicy,
    /// How fast it may be asked.
    pub rate: Rate,
    /// The platform drops a repeated send with the same [`key`](crate::key), so that repeating is safe.
    pub idempotent: bool,
}

/// How an answer is shown while it is made.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Streaming {
    /// Not at all; only typing is shown.
    #[default]
    Off,
    /// A first message that is edited as the answer grows.
    Edit,
}

/// How a platform is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// It calls us.
    Webhook,
    /// We ask again and again.
    #[default]
    Polling,
    /// A socket stays open.
    WebSocket,
    /// A stream of events over HTTP or in the process.
    Events,
}

impl Via {
    /// As in [`proto::v1::Connection::via`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::Events => "events",
        }
    }
}

/// Pauses between attempts to connect; never less than 1 s, never more than 60 s, plus or minus a tenth by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryPolicy {
    /// Always this.
    Fixed(Duration),
    /// This, twice this, three times this.
    Linear(Duration),
    /// This, twice this, four times this.
    Exponential(Duration),
}

impl RetryPolicy {
    /// Pause after the `attempt`th failure in a row, counted from 1. `chance` is from 0.0 to 1.0.
    #[must_use]
    pub fn pause(self, attempt: u32, chance: f64) -> Duration {
        let attempt = attempt.max(1);
        let pause = match self {
            Self::Fixed(step) => step,
            Self::Linear(step) => step.saturating_mul(attempt),
            Self::Exponential(step) => step.saturating_mul(2_u32.saturating_pow(attempt - 1)),
        };
        let pause = pause.clamp(Duration::from_secs(1), Duration::from_secs(60));
        pause.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
    }
}

/// How fast a platform may be asked. 0 means as fast as one likes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Messages per second over all conversations, evenly spaced.
    pub per_account_per_s: f64,
    /// Messages per second in one conversation, on average.
    pub per_conversation_per_s: f64,
    /// Messages that one conversation may get at once after a silence; 0 counts as 1.
    pub burst: u32,
    /// Messages per minute in one group or channel.
    pub per_group_per_min: f64,
}

impl Capabilities {
    /// What `outbound` asks for that the platform cannot do, as a sentence for people.
    #[must_use]
    pub fn missing(&self, outbound: &Outbound) -> Option<String> {
        use outbound::Action::{
            AnswerCallback, Delete, Edit, Location, Media, React, Text, Typing,
        };
        let (able, what) = match &outbound.action {
            None => return Some("the action is unknown to this version".into()),
            Some(Text(_)) => return None,
            Some(Media(_)) => (self.media, "send files"),
            Some(Edit(_)) => (self.edits, "edit messages"),
            Some(Delete(_)) => (self.deletes, "delete messages"),
            Some(React(_)) => (self.reactions, "react to messages"),
            Some(Typing(_)) => (self.typing, "show typing"),
            Some(AnswerCallback(_)) => (self.buttons, "answer buttons"),
            Some(Location(_)) => (self.locations, "send places"),
        };
        (!able).then(|| format!("{} cannot {what}", self.platform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_one_second_to_sixty() {
        let policy = RetryPolicy::Exponential(Duration::from_secs(1));
        let pauses: Vec<u64> = [1, 2, 3, 7, 1000]
            .map(|n| policy.pause(n, 0.5).as_secs())
            .to_vec();
        assert_eq!(pauses, [1, 2, 4, 60, 60]);
        assert_eq!(
            RetryPolicy::Linear(Duration::from_secs(5))
                .pause(3, 0.5)
                .as_secs(),
            15
        );
        assert!(RetryPolicy::Fixed(Duration::ZERO).pause(9, 0.0) >= Duration::from_millis(900));
    }
}
