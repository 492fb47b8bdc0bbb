//! The settings of one Telegram account.

use std::{net::SocketAddr, time::Duration};

use adapter::{OnUnknown, Rate, Streaming};
use chassis::{
    Secret,
    settings::{Check, Mistakes},
};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shortest webhook secret that is taken, in characters. Telegram itself would take one.
const MIN_SECRET_CHARS: usize = 16;
/// Longest webhook secret. Source: Bot API, setWebhook, `secret_token`.
const MAX_SECRET_CHARS: usize = 256;

/// One bot on Telegram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Token of the bot, as @BotFather gave it. Without one the account is not started.
    pub token: Secret,
    /// Address of the Bot API server; a local one lifts the limits on files.
    pub api_url: String,
    /// How the bot hears: `polling` asks Telegram, `webhook` is called by it, `auto` prefers the webhook where
    /// `webhook_url` is set and polls while the webhook cannot be reached.
    pub mode: Mode,
    /// Public https address under which Telegram reaches `webhook_listen`; empty means that there is none.
    pub webhook_url: String,
    /// Address and port on which webhook calls are taken.
    pub webhook_listen: SocketAddr,
    /// What Telegram must say with each webhook call: 16 to 256 characters of A-Z, a-z, 0-9, _ and -.
    pub webhook_secret: Secret,
    /// How many webhook calls Telegram may make at once, 1 to 100.
    pub webhook_connections: u8,
    /// Milliseconds between two looks at whether the webhook is being reached.
    pub webhook_check_ms: u64,
    /// How many looks in a row must find the webhook unreached before `auto` turns to polling.
    pub webhook_failures: u32,
    /// Milliseconds of polling before `auto` tries the webhook again; twice as long after each failure, up to an hour.
    pub webhook_retry_ms: u64,
    /// Milliseconds within which a webhook call's headers, and then its body, must have come.
    pub webhook_read_ms: u64,
    /// Milliseconds that a webhook call waits for the bus before Telegram is told to come again.
    pub webhook_patience_ms: u64,
    /// Removes a webhook that somebody else has set for this bot, instead of refusing to poll.
    pub replace_webhook: bool,
    /// Seconds that Telegram holds a poll open when there is nothing to tell, 0 to 50.
    pub poll_timeout_s: u64,
    /// Milliseconds within which a call must be answered; a call that sends files gets four times as long.
    pub request_timeout_ms: u64,
    /// Tells Telegram the list of commands at the start, so that people find them in the menu.
    pub commands: bool,
    /// Messages per second over all chats; Telegram allows about 30. 0 means no limit.
    pub per_account_per_s: f64,
    /// Messages per second in one chat; Telegram allows about 1. 0 means no limit.
    pub per_chat_per_s: f64,
    /// Messages that one chat may get at once after a silence.
    pub burst: u32,
    /// Messages per minute in one group; Telegram allows 20. 0 means no limit.
    pub per_group_per_min: f64,
    /// Shows an answer while it is made: `off`, or `edit` for a message that grows.
    pub streaming: Streaming,
    /// Milliseconds between two edits of a growing message, at least.
    pub min_edit_ms: u64,
    /// What to do when nobody can say whether a message arrived: `hold` it and tell the operator, or `resend` it.
    pub on_unknown: OnUnknown,
    /// Largest file that is fetched from a message, in bytes; Telegram gives no more than 20 MiB to a bot.
    pub max_file_bytes: u64,
    /// Seconds within which a file must have been fetched.
    pub file_timeout_s: u64,
}

/// How a bot hears Telegram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Asks Telegram again and again.
    Polling,
    /// Telegram calls, and nothing else will do.
    Webhook,
    /// Telegram calls where a webhook address is set; asked while that fails.
    #[default]
    Auto,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token: Secret::default(),
            api_url: "https://api.telegram.org".into(),
            mode: Mode::default(),
            webhook_url: String::new(),
            webhook_listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            webhook_secret: Secret::default(),
            webhook_connections: 40,
            webhook_check_ms: 30_000,
            webhook_failures: 3,
            webhook_retry_ms: 300_000,
            webhook_read_ms: 10_000,
            webhook_patience_ms: 5_000,
            replace_webhook: false,
            poll_timeout_s: 50,
            request_timeout_ms: 30_000,
            commands: true,
            per_account_per_s: 30.0,
            per_chat_per_s: 1.0,
            burst: 5,
            per_group_per_min: 20.0,
            streaming: Streaming::default(),
            min_edit_ms: 1_500,
            on_unknown: OnUnknown::default(),
            max_file_bytes: 20 * 1024 * 1024,
            file_timeout_s: 60,
        }
    }
}

impl Config {
    /// Whether the webhook is to be tried.
    pub(crate) fn wants_webhook(&self) -> bool {
        match self.mode {
            Mode::Polling => false,
            Mode::Webhook => true,
            Mode::Auto => !self.webhook_url.is_empty(),
        }
    }

    /// How fast the platform may be asked.
    pub(crate) fn rate(&self) -> Rate {
        Rate {
            per_account_per_s: self.per_account_per_s,
            per_conversation_per_s: self.per_chat_per_s,
            burst: self.burst,
            per_group_per_min: self.per_group_per_min,
        }
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// What is wrong, each as a setting, a clause, and what to write instead.
    pub(crate) fn mistakes(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut wrong = Vec::new();
        if !is_web(&self.api_url) {
            wrong.push((
                "api_url",
                "is no http or https address",
                "https://api.telegram.org",
            ));
        }
        if self.mode == Mode::Webhook && self.webhook_url.is_empty() {
            wrong.push((
                "webhook_url",
                "is missing, and mode is webhook",
                "the public https address of webhook_listen",
            ));
        }
        if !self.webhook_url.is_empty() && !is_web(&self.webhook_url) {
            wrong.push((
                "webhook_url",
                "is no http or https address",
                "the public https address of webhook_listen",
            ));
        }
        if self.wants_webhook() && !is_secret(self.webhook_secret.expose()) {
            let instead = "16 to 256 characters of A-Z, a-z, 0-9, _ and -, such as `openssl rand -hex 24` prints";
            wrong.push((
                "webhook_secret",
                "does not protect the webhook: anyone could speak for anyone",
                instead,
            ));
        }
        if !(1..=100).contains(&self.webhook_connections) {
            wrong.push((
                "webhook_connections",
                "is out of range",
                "a number from 1 to 100",
            ));
        }
        if self.poll_timeout_s > 50 {
            wrong.push((
                "poll_timeout_s",
                "is longer than Telegram holds a poll",
                "a number from 0 to 50",
            ));
        }
        let rates = [
            self.per_account_per_s,
            self.per_chat_per_s,
            self.per_group_per_min,
        ];
        if rates.iter().any(|rate| !rate.is_finite() || *rate < 0.0) {
            wrong.push((
                "per_account_per_s",
                "or another rate is negative",
                "numbers from 0, which means no limit",
            ));
        }
        if self.request_timeout_ms == 0 || self.webhook_check_ms == 0 || self.webhook_read_ms == 0 {
            wrong.push((
                "request_timeout_ms",
                "or another time is 0",
                "at least 1 millisecond",
            ));
        }
        wrong
    }
}

impl Check for Config {
    fn check(&self, mistakes: &mut Mistakes) {
        for (setting, what, instead) in self.mistakes() {
            mistakes.add(setting, what, instead);
        }
    }
}

fn is_web(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether Telegram takes it and nobody guesses it.
fn is_secret(secret: &str) -> bool {
    (MIN_SECRET_CHARS..=MAX_SECRET_CHARS).contains(&secret.len())
        && secret
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(secret: &str) -> Config {
        Config {
            webhook_url: "https://bot.example.org/telegram".into(),
            webhook_secret: secret.into(),
            ..Config::default()
        }
    }

    #[test]
    fn a_webhook_without_a_good_secret_is_a_mistake() {
        for weak in [
            "",
            "short",
            "exactly-15-char",
            "has blanks in it, and a comma",
            &"x".repeat(257),
        ] {
            assert_eq!(webhook(weak).mistakes().len(), 1, "{weak}");
        }
        assert_eq!(webhook("abcdefGHIJKL_0-9").mistakes(), []);
        assert_eq!(
            Config {
                mode: Mode::Polling,
                ..webhook("")
            }
            .mistakes(),
            []
        );
        assert_eq!(
            Config {
                mode: Mode::Webhook,
                ..Config::default()
            }
            .mistakes()
            .len(),
            2
        );
    }

    #[test]
    fn the_defaults_are_right_and_show_no_secret() {
        let config = Config {
            token: "123:secret".into(),
            ..Config::default()
        };
        assert_eq!(config.mistakes(), []);
        assert!(
            !format!("{config:?}").contains("secret\""),
            "a token does not print"
        );
        assert!(!format!("{config:?}").contains("123:"));
    }
}
