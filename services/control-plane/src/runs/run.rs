//! One answer being made: its text so far, and the numbers under which it is told.

use std::{sync::Arc, time::Instant};

use proto::{
    session,
    v1::{Answered, Delta, DeltaKind, Event, Failed, event::What},
    ws,
};
use serde_json::{Value, json};

use super::{Tale, chat::Chat};
use crate::{outbox::Worth, verdict::SET_ASIDE};

/// Pieces are told until a text has this many bytes; the end tells the whole.
const TOLD_BYTES: usize = 512 * 1024;
/// Each piece repeats the whole text, so a piece is told when it adds this part of it: then a text costs its own
/// length times this, and not its square.
const LEAST_PART: usize = 128;
/// Number of the end of a run whose pieces were told by others: higher than any of theirs, and a number everywhere.
const AFTER_ALL: u64 = 1 << 30;

/// One answer.
#[derive(Debug)]
pub(super) struct Run {
    /// As clients know it.
    pub(super) id: String,
    pub(super) agent: String,
    pub(super) session_key: String,
    pub(super) touched: Instant,
    /// Empty until the router let it in.
    session_id: String,
    accepted: bool,
    begun: bool,
    /// Number of the piece that was heard last; 0 before the first.
    heard: u64,
    /// Number under which something was told last.
    seq: u64,
    text: String,
    /// How much of the text was told.
    told: usize,
    /// The text was begun anew and what comes next replaces what was told.
    anew: bool,
    /// A piece is missing: the rest is told at the end.
    torn: bool,
}

impl Run {
    pub(super) fn new(id: &str, agent: &str, key: &str, now: Instant) -> Self {
        Self {
            id: id.to_owned(),
            agent: agent.to_owned(),
            session_key: key.to_owned(),
            touched: now,
            session_id: String::new(),
            accepted: false,
            begun: false,
            heard: 0,
            seq: 0,
            text: String::new(),
            told: 0,
            anew: false,
            torn: false,
        }
    }

    /// Nobody but its asker has said anything of it.
    pub(super) fn is_only_asked(&self) -> bool {
        !self.begun && !self.accepted
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The router let it in.
    pub(super) fn accept(&mut self, session_id: String) {
        (self.accepted, self.session_id) = (true, session_id);
    }

    /// Whether a piece has not been heard before. Notes it, and whether others are missing before it.
    pub(super) fn heard(&mut self, delta: &Delta) -> bool {
        match delta.kind() {
            // Begun again by another agent bridge, after the first one died.
            DeltaKind::Start if self.begun => self.restart(),
            DeltaKind::Start => {}
            // Not numbered.
            _ if delta.seq == 0 => return true,
            _ if delta.seq <= self.heard => return false,
            DeltaKind::Restart => {}
            // The start has number 1 and no text.
            DeltaKind::Text => self.torn |= delta.seq > self.heard.max(1) + 1,
        }
        self.heard = delta.seq;
        // Every replica hears the same pieces and so tells them under the same numbers.
        self.seq = self.seq.max((2 * delta.seq).saturating_sub(2));
        true
    }

    /// Whether it begins now.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// The text begins anew.
    pub(super) fn restart(&mut self) {
        self.anew |= self.told > 0;
        (self.told, self.torn) = (0, false);
        self.text.clear();
    }

    /// More text, told unless it is too little, too much, or not whole.
    pub(super) fn say(&mut self, piece: &str, now_ms: i64) -> Vec<Tale> {
        self.torn |= self.text.len() + piece.len() > TOLD_BYTES;
        if self.torn {
            return Vec::new();
        }
        self.text.push_str(piece);
        if (self.text.len() - self.told) * LEAST_PART < self.text.len() {
            return Vec::new();
        }
        let piece = self.text[self.told..].to_owned();
        let replace = std::mem::take(&mut self.anew);
        self.told = self.text.len();
        let mut data = json!({"text": self.text, "delta": piece});
        if replace {
            data["replace"] = true.into();
        }
        let told = Chat::delta(&piece, replace, Chat::message(&self.text, now_ms));
        vec![self.inform("assistant", now_ms, data), self.tell(told)]
    }

    /// What was told so far, for somebody who was away; under the number that it had. `None` where nothing was.
    pub(super) fn so_far(&self, now_ms: i64) -> Option<Tale> {
        if self.told == 0 {
            return None;
        }
        let text = &self.text[..self.told];
        let told = Chat::delta(text, true, Chat::message(text, now_ms));
        let key = session::to_client(&self.agent, &self.session_key);
        Some(Tale {
            event: Arc::new(told.event(&self.id, &key, &self.agent, self.seq)),
            since_protocol: told.since_protocol(),
            worth: told.worth(),
        })
    }

    /// The tales of the end: the agent's life cycle, then what everybody waits for.
    pub(super) fn end(&mut self, event: &Event) -> Vec<Tale> {
        if !self.begun {
            self.seq = self.seq.max(AFTER_ALL);
        }
        let at_ms = event.at_ms;
        let said = |text: &str| (!text.is_empty()).then(|| Chat::message(text, at_ms));
        match &event.what {
            Some(What::Answered(answered)) => {
                let mut tales = self.usage(answered, at_ms);
                tales.push(self.ended(at_ms, answered.started_at_ms, &answered.stop_reason, false));
                let last = Chat::last("final", &answered.stop_reason, said(&answered.text));
                tales.push(self.tell(last));
                tales
            }
            Some(What::Aborted(aborted)) => {
                let last = Chat::last("aborted", &aborted.why, said(&aborted.partial_text));
                vec![
                    self.ended(at_ms, aborted.started_at_ms, &aborted.why, true),
                    self.tell(last),
                ]
            }
            Some(What::Failed(failed)) => self.failed(at_ms, failed),
            // No run of its own: a line that clients show.
            Some(What::Injected(injected)) => {
                vec![self.tell(Chat::last("final", "injected", said(&injected.text)))]
            }
            Some(What::Refused(refused)) => {
                let message = format!("The message was not taken: {}", refused.reason);
                self.failed(at_ms, &unknown(message))
            }
            _ => self.failed(at_ms, &unknown(SET_ASIDE.into())),
        }
    }

    fn usage(&mut self, answered: &Answered, at_ms: i64) -> Vec<Tale> {
        let (input, output) = (answered.input_tokens, answered.output_tokens);
        if input + output == 0 {
            return Vec::new();
        }
        let mut tale = self.inform(
            "usage",
            at_ms,
            json!({"inputTokens": input, "outputTokens": output}),
        );
        tale.since_protocol = 4;
        vec![tale]
    }

    fn ended(&mut self, at_ms: i64, started_at_ms: i64, stop_reason: &str, aborted: bool) -> Tale {
        let mut data = json!({"phase": "end", "endedAt": at_ms, "aborted": aborted});
        if started_at_ms > 0 {
            data["startedAt"] = started_at_ms.into();
        }
        if !stop_reason.is_empty() {
            data["stopReason"] = stop_reason.into();
        }
        needed(self.inform("lifecycle", at_ms, data))
    }

    fn failed(&mut self, at_ms: i64, failed: &Failed) -> Vec<Tale> {
        let data = json!({"phase": "error", "endedAt": at_ms, "error": failed.message});
        vec![
            needed(self.inform("lifecycle", at_ms, data)),
            self.tell(Chat::error(failed)),
        ]
    }

    /// Tells a `chat` event.
    pub(super) fn tell(&mut self, chat: Chat) -> Tale {
        self.seq += 1;
        let (since_protocol, worth) = (chat.since_protocol(), chat.worth());
        let key = session::to_client(&self.agent, &self.session_key);
        let event = Arc::new(chat.event(&self.id, &key, &self.agent, self.seq));
        Tale {
            event,
            since_protocol,
            worth,
        }
    }

    /// Tells an `agent` event on `stream`.
    pub(super) fn inform(&mut self, stream: &str, at_ms: i64, data: Value) -> Tale {
        self.seq += 1;
        let key = session::to_client(&self.agent, &self.session_key);
        let mut payload = json!({
            "runId": self.id, "sessionKey": key, "agentId": self.agent, "stream": stream,
            "data": data, "seq": self.seq, "ts": at_ms,
        });
        if !self.session_id.is_empty() {
            payload["sessionId"] = self.session_id.as_str().into();
        }
        Tale {
            event: Arc::new(ws::Event::new("agent", &payload, None)),
            since_protocol: 3,
            worth: Worth::Droppable,
        }
    }
}

fn needed(tale: Tale) -> Tale {
    Tale {
        worth: Worth::Needed,
        ..tale
    }
}

fn unknown(message: String) -> Failed {
    Failed {
        message,
        kind: "unknown".into(),
        ..Failed::default()
    }
}
