//! The two ways in which an answer is written: chat completions and responses.

use serde_json::Value;

use super::{ask::Meant, chat, problem::Problem, responses};
use crate::verdict::Verdict;

/// How an answer is written.
pub(super) enum Wire {
    Chat(chat::Wire),
    Responses(Box<responses::Wire>),
}

impl Wire {
    /// Notes what the answer is called.
    pub(super) fn name(&mut self, meant: &Meant) {
        match self {
            Self::Chat(wire) => wire.name(meant),
            Self::Responses(wire) => wire.name(meant),
        }
    }

    /// The whole answer.
    pub(super) fn whole(&self, verdict: &Verdict) -> Value {
        match self {
            Self::Chat(wire) => wire.whole(verdict),
            Self::Responses(wire) => wire.whole(verdict),
        }
    }

    /// What a stream begins with.
    pub(super) fn begin(&mut self) -> String {
        match self {
            Self::Chat(wire) => wire.begin(),
            Self::Responses(wire) => wire.begin(),
        }
    }

    /// A piece of the answer.
    pub(super) fn piece(&mut self, text: &str) -> String {
        match self {
            Self::Chat(wire) => wire.piece(text),
            Self::Responses(wire) => wire.piece(text),
        }
    }

    /// What a stream ends with.
    pub(super) fn end(&mut self, verdict: &Verdict) -> String {
        match self {
            Self::Chat(wire) => wire.end(verdict),
            Self::Responses(wire) => wire.end(verdict),
        }
    }

    /// What a stream ends with that cannot be ended well.
    pub(super) fn broken(&mut self, problem: &Problem) -> String {
        match self {
            Self::Chat(wire) => wire.broken(problem),
            Self::Responses(wire) => wire.broken(problem),
        }
    }
}

/// A reason to end as both APIs name it.
pub(super) fn finish_reason(verdict: &Verdict) -> &'static str {
    match verdict.stop_reason.as_str() {
        "length" | "max_output_tokens" => "length",
        "content_filter" => "content_filter",
        _ => "stop",
    }
}
