//! What answers a turn: the built-in agent, or a model behind an OpenAI-compatible API.

use proto::v1::Model;
use serde::Serialize;

use crate::{config::Config, failure::Failure};

mod offline;
mod openai;

/// What answers a turn.
pub(crate) enum Backend {
    /// The built-in agent, which needs no network.
    Offline,
    /// A model behind an OpenAI-compatible API.
    OpenAi(openai::OpenAi),
}

/// What is asked: a conversation that ends with what the person said now.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The model's name at the provider.
    pub model: String,
    /// What the model is told before anything else; may be empty.
    pub system: String,
    /// Oldest first; the last one is to be answered.
    pub messages: Vec<Message>,
    /// How hard the model is to think, where somebody wished for it: minimal, low, medium, high. A model that does not
    /// take it is asked without.
    pub effort: Option<&'static str>,
}

/// One line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// A person.
    User,
    /// The model.
    Assistant,
}

/// What comes of an answer, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// More text, not empty.
    Text(String),
    /// The end: nothing follows.
    End(End),
}

/// How an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// stop, length, ... in the provider's words.
    pub stop_reason: String,
    /// What the provider counted; `None` where it does not count.
    pub usage: Option<Usage>,
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Read by the model.
    pub input_tokens: u64,
    /// Written by it.
    pub output_tokens: u64,
}

/// An answer on its way.
pub(crate) enum Reply {
    /// Of the built-in agent: its text until it is taken.
    Offline(Option<String>),
    /// Of a model.
    OpenAi(Box<openai::Stream>),
}

impl Backend {
    /// Makes the backend that `config` chooses.
    ///
    /// # Errors
    /// When the address or the key cannot be used as they are; the message names neither.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        match config.is_offline() {
            true => Ok(Self::Offline),
            false => openai::OpenAi::new(config).map(Self::OpenAi),
        }
    }

    /// Name of the provider in events and metrics.
    pub(crate) fn provider(&self) -> &str {
        match self {
            Self::Offline => "offline",
            Self::OpenAi(model) => model.provider(),
        }
    }

    /// The model that answers where `asked` is wished for.
    pub(crate) fn model<'a>(&self, asked: &'a str) -> &'a str {
        match self {
            Self::Offline => "offline",
            Self::OpenAi(_) => asked,
        }
    }

    /// The models that it says it has.
    ///
    /// # Errors
    /// When the provider does not say.
    pub(crate) async fn models(&self) -> Result<Vec<Model>, Failure> {
        match self {
            Self::Offline => Ok(Vec::new()),
            Self::OpenAi(model) => model.models().await,
        }
    }

    /// Asks, and returns once the answer begins.
    ///
    /// # Errors
    /// When there will be no answer to this request.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Reply, Failure> {
        match self {
            Self::Offline => {
                let said = question
                    .messages
                    .last()
                    .map_or("", |message| &message.content);
                Ok(Reply::Offline(Some(offline::answer(
                    said,
                    chassis::clock::now_ms(),
                ))))
            }
            Self::OpenAi(model) => model
                .ask(question)
                .await
                .map(|stream| Reply::OpenAi(Box::new(stream))),
        }
    }
}

impl Reply {
    /// The next piece. May be dropped and called again without losing one; not called after the end.
    ///
    /// # Errors
    /// When the rest of the answer will not come.
    pub(crate) async fn next(&mut self) -> Result<Piece, Failure> {
        match self {
            Self::Offline(text) => Ok(match text.take() {
                Some(text) => Piece::Text(text),
                None => Piece::End(End {
                    stop_reason: "stop".into(),
                    usage: Some(Usage::default()),
                }),
            }),
            Self::OpenAi(stream) => stream.next().await,
        }
    }
}
