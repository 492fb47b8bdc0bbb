//! Settings of the agent bridge.

use std::time::Duration;

use chassis::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the agent bridge: which model answers, and within which limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who answers: `auto` asks a model if `url` or `api_key` is set and is the built-in offline agent otherwise.
    pub backend: Choice,
    /// Where the model is: the base of an OpenAI-compatible API, without `/chat/completions`. Empty means
    /// `https://api.openai.com/v1`.
    pub url: String,
    /// Key of that API. Empty for a local model that needs none.
    pub api_key: Secret,
    /// Model that answers where a session has not chosen another one.
    pub model: String,
    /// Which of the API's two ways is spoken.
    pub api: Api,
    /// Asks the chat API to count tokens while it streams. Off for the few servers that refuse the question; tokens
    /// are then estimated.
    pub stream_usage: bool,
    /// What the model is told before anything else. Empty tells it nothing.
    pub system_prompt: String,
    /// Lines of the session that the model gets as context, at most.
    pub max_history_lines: u32,
    /// Characters of the session that the model gets as context, at most; older lines are left out first.
    pub max_history_chars: usize,
    /// Longest answer in characters; a longer one is cut and says so.
    pub max_output_chars: usize,
    /// Seconds for an answer, retries included, where the turn names no deadline.
    pub run_timeout_s: u64,
    /// Seconds for connecting to the model.
    pub connect_timeout_s: u64,
    /// Seconds until the model begins to answer. Endpoints that do not stream send nothing before they are done.
    pub first_piece_timeout_s: u64,
    /// Seconds between two pieces of an answer, after which the model counts as hanging.
    pub idle_timeout_s: u64,
    /// Times that a failed request is tried again within a turn.
    pub retries: usize,
    /// Milliseconds before the first of them; doubles each time. A wait that the model asks for wins.
    pub retry_pause_ms: u64,
    /// US dollars for a million tokens sent to the model.
    pub usd_per_million_input_tokens: f64,
    /// US dollars for a million tokens that it answers with.
    pub usd_per_million_output_tokens: f64,
    /// Turns worked on at once in each partition of the bus; a session still has one at a time.
    pub concurrency: usize,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// A model if one is configured, else the built-in agent.
    #[default]
    Auto,
    /// The built-in agent, which needs no network.
    Offline,
    /// A model behind an OpenAI-compatible API.
    Openai,
}

/// The two ways to ask an OpenAI-compatible API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// `/chat/completions`, which nearly every server speaks.
    #[default]
    Chat,
    /// `/responses`.
    Responses,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: Choice::Auto,
            url: String::new(),
            api_key: Secret::default(),
            model: "gpt-5-mini".into(),
            api: Api::Chat,
            stream_usage: true,
            system_prompt: "You are a helpful assistant in a chat. Answer briefly, in the language of the person, \
                            with Markdown where it helps."
                .into(),
            max_history_lines: 50,
            max_history_chars: 60_000,
            max_output_chars: 60_000,
            run_timeout_s: 600,
            connect_timeout_s: 10,
            first_piece_timeout_s: 180,
            idle_timeout_s: 60,
            retries: 2,
            retry_pause_ms: 500,
            usd_per_million_input_tokens: 0.0,
            usd_per_million_output_tokens: 0.0,
            concurrency: 64,
        }
    }
}

impl Config {
    /// Whether the built-in agent answers.
    pub(crate) fn is_offline(&self) -> bool {
        match self.backend {
            Choice::Auto => self.url.is_empty() && self.api_key.is_empty(),
            Choice::Offline => true,
            Choice::Openai => false,
        }
    }

    /// How long the model may be silent after its first sign of life.
    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s)
    }

    /// How long it may be silent before that.
    pub(crate) fn first_piece_timeout(&self) -> Duration {
        Duration::from_secs(self.first_piece_timeout_s)
    }

    /// What an answer cost, in millionths of a US dollar.
    pub(crate) fn cost_micro_usd(&self, input_tokens: u64, output_tokens: u64) -> u64 {
        let cost = input_tokens as f64 * self.usd_per_million_input_tokens
            + output_tokens as f64 * self.usd_per_million_output_tokens;
        cost.round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_or_an_address_chooses_the_model() {
        let offline = Config::default();
        let keyed = Config {
            api_key: "k".into(),
            ..Config::default()
        };
        let local = Config {
            url: "http://127.0.0.1:1/v1".into(),
            ..Config::default()
        };
        let forced = Config {
            backend: Choice::Offline,
            ..keyed.clone()
        };
        let answers = [offline, keyed, local, forced].map(|config| config.is_offline());
        assert_eq!(answers, [true, false, false, true]);
    }

    #[test]
    fn a_price_for_a_million_tokens_is_micro_dollars_for_one() {
        let config = Config {
            usd_per_million_input_tokens: 0.25,
            usd_per_million_output_tokens: 2.0,
            ..Config::default()
        };
        assert_eq!(config.cost_micro_usd(1_000, 100), 450);
        assert_eq!(Config::default().cost_micro_usd(1_000, 100), 0);
    }

    #[test]
    fn the_key_does_not_print() {
        let config = Config {
            api_key: "canary".into(),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("canary"));
    }
}
