//! Frames of the gateway's WebSocket protocol: one JSON object a text message.
//!
//! Source: OpenClaw gateway protocol 3 (2026.1.29 to 2026.2.20) and 4 (2026.5.12 to 2026.9.6), read 2026-11-20.
//! The envelope is closed in both: no key may be added to it. Payloads may grow.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// What a client asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// Always "req".
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Chosen by the client, not empty.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Method name, not empty.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// Anything; absent and null are the same.
    #[serde(default, borrow)]
    pub params: Option<&'a RawValue>,
    /// W3C trace context; protocol 4 only.
    #[serde(default, borrow)]
    pub traceparent: Option<Cow<'a, str>>,
    /// Protocol 4 only; ignored.
    #[serde(default, borrow, rename = "expectedProfileId")]
    pub expected_profile_id: Option<Cow<'a, str>>,
}

/// Why a message is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No JSON at all: ignored once a connection is established.
    #[error("not JSON")]
    NotJson,
    /// JSON, but no request.
    #[error("invalid request frame: {why}")]
    NotRequest {
        /// The frame's own id where it is a text that is not empty.
        id: Option<String>,
        /// Which rule it breaks first.
        why: String,
    },
}

impl<'a> Request<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`], which says what to answer.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        match serde_json::from_str::<Self>(text) {
            Ok(request) if request.is_sound() => Ok(request),
            _ => Err(malformed(text)),
        }
    }

    fn is_sound(&self) -> bool {
        self.kind == "req" && !self.id.is_empty() && !self.method.is_empty()
    }
}

/// Finds the first rule that `text` breaks; only called for what is no request.
fn malformed(text: &str) -> Malformed {
    const KEYS: [&str; 6] = [
        "type",
        "id",
        "method",
        "params",
        "traceparent",
        "expectedProfileId",
    ];
    let frame = match serde_json::from_str::<Value>(text) {
        Err(_) => return Malformed::NotJson,
        Ok(Value::Object(frame)) => frame,
        Ok(_) => {
            return Malformed::NotRequest {
                id: None,
                why: "must be object".into(),
            };
        }
    };
    let id = frame
        .get("id")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty());
    let text_of = |key: &str| match frame.get(key) {
        None => Some(format!("must have required property '{key}'")),
        Some(Value::String(text)) if text.is_empty() => {
            Some(format!("at /{key}: must NOT have fewer than 1 characters"))
        }
        Some(Value::String(_)) => None,
        Some(_) => Some(format!("at /{key}: must be string")),
    };
    let why = ["type", "id", "method"]
        .into_iter()
        .find_map(text_of)
        .or_else(|| {
            let known = |key: &String| KEYS.contains(&key.as_str());
            let stranger = frame.keys().find(|key| !known(key))?;
            Some(format!("at root: unexpected property '{stranger}'"))
        })
        .unwrap_or_else(|| "at /type: must be equal to constant".into());
    Malformed::NotRequest {
        id: id.map(ToOwned::to_owned),
        why,
    }
}

/// What the server answers; a request may have more than one.
#[derive(Clone, Debug, Serialize)]
pub struct Response<'a> {
    /// Always "res".
    #[serde(rename = "type")]
    kind: &'static str,
    /// The request's id.
    pub id: &'a str,
    /// Whether `payload` or `error` follows.
    pub ok: bool,
    /// The result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
    /// Why not. Never null: clients drop a frame whose `error` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a Error>,
}

impl<'a> Response<'a> {
    /// The answer to the request `id`.
    #[must_use]
    pub fn new(id: &'a str, outcome: Result<&'a RawValue, &'a Error>) -> Self {
        let ok = outcome.is_ok();
        Self {
            kind: "res",
            id,
            ok,
            payload: outcome.ok(),
            error: outcome.err(),
        }
    }

    /// The frame's text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the server tells unasked, serialised once for all who hear it.
///
/// Only the number differs from connection to connection; it is put between the two shared pieces.
#[derive(Clone, Debug)]
pub struct Event {
    head: String,
    tail: String,
}

impl Event {
    /// The event `name` with its payload; `state` only for `presence` and `health`.
    #[must_use]
    pub fn new(name: &str, payload: &impl Serialize, state: Option<StateVersion>) -> Self {
        #[derive(Serialize)]
        struct Head<'a, P> {
            #[serde(rename = "type")]
            kind: &'static str,
            event: &'a str,
            payload: &'a P,
        }
        let mut head = serde_json::to_string(&Head {
            kind: "event",
            event: name,
            payload,
        })
        .unwrap_or_else(|_| r#"{"type":"event","event":"none"}"#.into());
        head.pop();
        let tail = match state {
            None => "}".into(),
            Some(StateVersion { presence, health }) => {
                format!(r#","stateVersion":{{"presence":{presence},"health":{health}}}}}"#)
            }
        };
        Self { head, tail }
    }

    /// The same with a text more in its payload, which must be an object that is not empty.
    #[must_use]
    pub fn with(&self, key: &str, text: &str) -> Self {
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let mut head = self.head.clone();
        head.pop();
        head.push_str(&format!(",{}:{}}}", quoted(key), quoted(text)));
        Self {
            head,
            tail: self.tail.clone(),
        }
    }

    /// The frame's text. `seq` counts the events of one connection from 1; before the handshake is done there is none.
    #[must_use]
    pub fn text(&self, seq: Option<u64>) -> String {
        let Self { head, tail } = self;
        let mut text = String::with_capacity(self.size_bytes());
        text.push_str(head);
        if let Some(seq) = seq {
            text.push_str(",\"seq\":");
            text.push_str(&seq.to_string());
        }
        text.push_str(tail);
        text
    }

    /// Longest that [`Event::text`] gets, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.head.len() + self.tail.len() + 27
    }
}

/// How often presence and health have changed since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateVersion {
    /// Changes of the presence list.
    pub presence: u64,
    /// Changes of the health snapshot.
    pub health: u64,
}

/// Why a request failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    /// INVALID_REQUEST, UNAVAILABLE, NOT_PAIRED, NOT_LINKED, AGENT_TIMEOUT, FORBIDDEN.
    pub code: &'static str,
    /// For people; clients also match on some texts.
    pub message: String,
    /// Machine-readable part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Milliseconds to wait first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_are_bytes_as_the_reference_writes_them() {
        let event = Event::new("tick", &json!({"ts": 1}), None);
        assert_eq!(
            event.text(Some(4)),
            r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":4}"#
        );
        assert_eq!(
            event.text(None),
            r#"{"type":"event","event":"tick","payload":{"ts":1}}"#
        );
        assert_eq!(
            event.with("cursor", "a\"b").text(Some(4)),
            r#"{"type":"event","event":"tick","payload":{"ts":1,"cursor":"a\"b"},"seq":4}"#
        );
        let state = StateVersion {
            presence: 11,
            health: 8,
        };
        assert_eq!(
            Event::new("presence", &json!({"presence": []}), Some(state)).text(Some(2)),
            r#"{"type":"event","event":"presence","payload":{"presence":[]},"seq":2,"stateVersion":{"presence":11,"health":8}}"#
        );
        let error = Error {
            code: "INVALID_REQUEST",
            message: "no".into(),
            ..Error::default()
        };
        assert_eq!(
            Response::new("1", Err(&error)).text(),
            r#"{"type":"res","id":"1","ok":false,"error":{"code":"INVALID_REQUEST","message":"no"}}"#
        );
        let payload = serde_json::value::to_raw_value(&json!({"ts": 1})).unwrap();
        assert_eq!(
            Response::new("a\"b", Ok(&payload)).text(),
            r#"{"type":"res","id":"a\"b","ok":true,"payload":{"ts":1}}"#
        );
    }

    #[test]
    fn a_request_keeps_its_params_as_they_came() {
        let request =
            Request::read(r#"{"type":"req","id":"1","method":"health","params":{"probe": true}}"#)
                .unwrap();
        assert_eq!(request.params.unwrap().get(), r#"{"probe": true}"#);
        assert!(
            Request::read(r#"{"type":"req","id":"1","method":"health","params":null}"#)
                .unwrap()
                .params
                .is_none()
        );
    }

    #[test]
    fn what_is_no_request_says_which_rule_it_breaks() {
        let why = |text: &str| Request::read(text).unwrap_err();
        let not = |id: Option<&str>, why: &str| Malformed::NotRequest {
            id: id.map(Into::into),
            why: why.into(),
        };
        assert_eq!(why("{nope"), Malformed::NotJson);
        assert_eq!(why("[1]"), not(None, "must be object"));
        assert_eq!(
            why(r#"{"type":"req","id":"1","method":"health","foo":1}"#),
            not(Some("1"), "at root: unexpected property 'foo'")
        );
        assert_eq!(
            why(r#"{"type":"req","id":7,"method":"health"}"#),
            not(None, "at /id: must be string")
        );
        assert_eq!(
            why(r#"{"type":"req","id":"1"}"#),
            not(Some("1"), "must have required property 'method'")
        );
        assert_eq!(
            why(r#"{"type":"event","id":"1","method":"x"}"#),
            not(Some("1"), "at /type: must be equal to constant")
        );
    }
}
