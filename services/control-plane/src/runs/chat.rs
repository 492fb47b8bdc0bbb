//! The `chat` event: what every client shows of an answer.

use proto::{v1::Failed, ws::Event};
use serde::Serialize;
use serde_json::{Value, json};

use crate::outbox::Worth;

/// What a `chat` event says besides which run it is about.
///
/// A delta has both the piece, which clients of protocol 4 add, and the whole text so far, which those of protocol 3 show.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chat {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<Value>,
}

/// The kinds of failure that the protocol knows.
const KINDS: [&str; 5] = [
    "refusal",
    "timeout",
    "rate_limit",
    "context_length",
    "unknown",
];
/// Longest name of a provider or model in a failure.
const NAME_CHARS: usize = 300;

impl Chat {
    /// What an assistant said.
    pub(super) fn message(text: &str, at_ms: i64) -> Value {
        json!({"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": at_ms})
    }

    /// A step on the way to the first word; protocol 4 only.
    pub(super) fn status(phase: &'static str) -> Self {
        Self {
            state: "status",
            phase: Some(phase),
            ..Self::default()
        }
    }

    /// A piece of the answer.
    pub(super) fn delta(piece: &str, replace: bool, message: Value) -> Self {
        Self {
            state: "delta",
            delta_text: Some(piece.to_owned()),
            replace: replace.then_some(true),
            message: Some(message),
            ..Self::default()
        }
    }

    /// `final` or `aborted`.
    pub(super) fn last(state: &'static str, stop_reason: &str, message: Option<Value>) -> Self {
        let stop_reason = if stop_reason.is_empty() {
            "stop"
        } else {
            stop_reason
        };
        Self {
            state,
            stop_reason: Some(stop_reason.to_owned()),
            message,
            ..Self::default()
        }
    }

    /// There will be no answer.
    pub(super) fn error(failed: &Failed) -> Self {
        let kind = KINDS
            .into_iter()
            .find(|kind| *kind == failed.kind)
            .unwrap_or("unknown");
        let cut = |text: &str| text.chars().take(NAME_CHARS).collect::<String>();
        let mut detail = serde_json::Map::new();
        for (key, name) in [("provider", &failed.provider), ("model", &failed.model)] {
            if !name.is_empty() {
                detail.insert(key.into(), cut(name).into());
            }
        }
        if (100..600).contains(&failed.http_status) {
            detail.insert("httpStatus".into(), failed.http_status.into());
        }
        Self {
            state: "error",
            error_message: Some(failed.message.clone()),
            error_kind: Some(kind),
            error_detail: (!detail.is_empty()).then(|| detail.into()),
            ..Self::default()
        }
    }

    /// The oldest protocol whose clients know it.
    pub(super) fn since_protocol(&self) -> u8 {
        if self.state == "status" { 4 } else { 3 }
    }

    /// Whether a slow client may miss it.
    pub(super) fn worth(&self) -> Worth {
        match self.state {
            "status" | "delta" => Worth::Droppable,
            _ => Worth::Needed,
        }
    }

    /// The event.
    pub(super) fn event(&self, run_id: &str, session_key: &str, agent: &str, seq: u64) -> Event {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload<'a> {
            run_id: &'a str,
            session_key: &'a str,
            agent_id: &'a str,
            seq: u64,
            #[serde(flatten)]
            chat: &'a Chat,
        }
        let payload = Payload {
            run_id,
            session_key,
            agent_id: agent,
            seq,
            chat: self,
        };
        Event::new("chat", &payload, None)
    }
}
