//! Settings of the router: who may speak, how sessions live, how fast people may write.

use std::{collections::BTreeMap, ops::RangeInclusive};

use chassis::settings::{Check, Mistakes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a message may live, in seconds: less than the three days for which sends are remembered, and than the seven
/// after which a stream would drop it.
const LIFETIMES_S: RangeInclusive<u64> = 60..=2 * 24 * 60 * 60;

/// Decides who is answered, in which session, and how fast.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who may speak, by platform ("telegram") or by account ("telegram/shop"), which wins. Without an entry the
    /// defaults of one hold: pairing for direct messages, listed groups only, and only when mentioned.
    pub access: BTreeMap<String, Access>,
    /// Agent that answers where nothing else is said.
    pub agent: String,
    /// A session that was silent this long begins anew; its transcript is kept. Seconds.
    pub session_idle_s: u64,
    /// How long a message already seen is recognised as a repetition. Seconds; longer than the platform redelivers.
    pub dedupe_s: u64,
    /// Longest text handed to an agent; the rest is cut, and the agent is told so. Characters.
    pub max_text_chars: usize,
    /// Messages that one person may send in a minute; more wait their turn. 0 is no limit.
    pub user_per_minute: u32,
    /// Messages that a person may send at once before the limit is felt.
    pub user_burst: u32,
    /// Messages of one platform handled in a second, over all its people. 0 is no limit.
    pub platform_per_second: u32,
    /// An agent has this long for an answer. Seconds.
    pub turn_timeout_s: u64,
    /// A message or an answer that has waited this long is given up, and its writer told so. Seconds, 60 to 172800.
    #[schemars(range(min = 60, max = 172_800))]
    pub message_lifetime_s: u64,
    /// Who waits this long for the agent to begin, in a conversation of two, is told that the message is kept and will
    /// be answered. Seconds; 0 tells nobody.
    pub slow_notice_s: u64,
    /// Answers in groups are shown as replies to the message they answer.
    pub reply_in_groups: bool,
    /// How the operator calls this program, for texts that say what to run.
    pub operator_command: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            access: BTreeMap::new(),
            agent: "main".into(),
            session_idle_s: 30 * 60,
            dedupe_s: 25 * 60 * 60,
            max_text_chars: 100_000,
            user_per_minute: 30,
            user_burst: 30,
            platform_per_second: 1000,
            turn_timeout_s: 600,
            message_lifetime_s: 24 * 60 * 60,
            slow_notice_s: 60,
            reply_in_groups: true,
            operator_command: "openclaw".into(),
        }
    }
}

/// Who may speak on one platform or account.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Direct messages: `pairing` (unknown people get a code that the operator approves), `allowlist`, `open`,
    /// `disabled`.
    pub direct: Direct,
    /// Groups: `allowlist` (those in `groups`), `open`, `disabled`.
    pub group: Group,
    /// People who may speak, by the platform's immutable id. Names do not count: anybody can take one.
    pub allow_from: Vec<String>,
    /// Groups that are answered, by the platform's id.
    pub groups: Vec<String>,
    /// In groups, only messages that mention or answer the account are answered.
    pub require_mention: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            direct: Direct::Pairing,
            group: Group::Allowlist,
            allow_from: Vec::new(),
            groups: Vec::new(),
            require_mention: true,
        }
    }
}

/// Policy for direct messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direct {
    /// Unknown people get a code; the operator approves it.
    Pairing,
    /// Only people in `allow_from`.
    Allowlist,
    /// Anybody.
    Open,
    /// Nobody.
    Disabled,
}

/// Policy for groups and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Only groups in `groups`.
    Allowlist,
    /// Any group.
    Open,
    /// No group.
    Disabled,
}

impl Config {
    /// How long a message or an answer may wait.
    pub(crate) fn lifetime_ms(&self) -> i64 {
        let lifetime_s = self
            .message_lifetime_s
            .clamp(*LIFETIMES_S.start(), *LIFETIMES_S.end());
        i64::try_from(lifetime_s * 1000).unwrap_or(i64::MAX / 2)
    }

    /// What holds for an account: its own entry, its platform's, or the defaults.
    #[must_use]
    pub fn access(&self, platform: &str, account: &str) -> Access {
        let own = self.access.get(&format!("{platform}/{account}"));
        own.or_else(|| self.access.get(platform))
            .cloned()
            .unwrap_or_default()
    }
}

impl Check for Config {
    fn check(&self, mistakes: &mut Mistakes) {
        for (name, access) in &self.access {
            let platform = name.split('/').next().unwrap_or_default();
            if !proto::session::CHANNELS.contains(&platform) {
                let known = format!("one of {}", proto::session::CHANNELS.join(", "));
                mistakes.add(
                    &format!("access.{name}"),
                    format!("`{platform}` is no platform"),
                    known,
                );
            }
            for id in access.allow_from.iter().filter(|id| id.starts_with('@')) {
                let what = format!("`{id}` is a name, and anybody can take a name");
                let instead =
                    "the platform's id of the person, as `openclaw pairing list` shows it";
                mistakes.add(&format!("access.{name}.allow_from"), what, instead);
            }
            if access.direct == Direct::Allowlist && access.allow_from.is_empty() {
                let instead = "ids in `allow_from`, or direct = \"pairing\"";
                mistakes.add(
                    &format!("access.{name}.direct"),
                    "an empty list lets nobody in",
                    instead,
                );
            }
        }
        if !LIFETIMES_S.contains(&self.message_lifetime_s) {
            mistakes.add(
                "message_lifetime_s",
                "is not between 60 and 172800",
                "86400, which is a day",
            );
        }
        if self.agent.is_empty() {
            mistakes.add("agent", "must not be empty", "\"main\"");
        }
    }
}
