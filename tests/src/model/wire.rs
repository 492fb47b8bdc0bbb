//! What the fake model puts on the wire: events of both APIs, whole answers, errors.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Answer, Fault};

/// The two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    Responses,
}

impl Api {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "chat/completions",
            Self::Responses => "responses",
        }
    }

    fn piece(self, text: &str) -> Value {
        match self {
            Self::Chat => json!({ "object": "chat.completion.chunk", "choices": [
                { "index": 0, "delta": { "content": text }, "finish_reason": null }
            ] }),
            Self::Responses => json!({ "type": "response.output_text.delta", "delta": text }),
        }
    }

    /// What follows the last piece.
    fn end(self, text: &str, usage: Option<(usize, usize)>) -> Vec<String> {
        match self {
            Self::Chat => {
                let last =
                    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
                let counted = usage.map(|_| json!({ "choices": [], "usage": self.usage(usage) }));
                let mut end = vec![event(&last)];
                end.extend(counted.as_ref().map(event));
                end.push("data: [DONE]\n\n".into());
                end
            }
            Self::Responses => {
                let response = self.whole(text, usage);
                vec![event(
                    &json!({ "type": "response.completed", "response": response }),
                )]
            }
        }
    }

    fn whole(self, text: &str, usage: Option<(usize, usize)>) -> Value {
        match self {
            Self::Chat => {
                json!({ "object": "chat.completion", "usage": self.usage(usage), "choices": [
                { "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }
            ] })
            }
            Self::Responses => {
                json!({ "status": "completed", "error": null, "usage": self.usage(usage), "output": [
                { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] }
            ] })
            }
        }
    }

    fn usage(self, usage: Option<(usize, usize)>) -> Value {
        match (self, usage) {
            (_, None) => Value::Null,
            (Self::Chat, Some((input, output))) => {
                json!({ "prompt_tokens": input, "completion_tokens": output })
            }
            (Self::Responses, Some((input, output))) => {
                json!({ "input_tokens": input, "output_tokens": output })
            }
        }
    }
}

/// The response to a request that is to be answered with `text`.
pub(super) fn respond(api: Api, answer: &Answer, text: &str, counts: bool) -> Response {
    let usage = counts.then_some((10, answer.pieces));
    let events: Vec<String> = pieces(text, answer.pieces)
        .map(|piece| event(&api.piece(piece)))
        .collect();
    match answer.fault {
        Fault::Status(status) => refusal(status, None),
        Fault::RateLimited(seconds) => refusal(429, Some(seconds)),
        Fault::Html => (
            [(header::CONTENT_TYPE, "text/html")],
            "<html>\n<p>data: none\n</html>\n",
        )
            .into_response(),
        Fault::Whole => axum::Json(api.whole(text, usage)).into_response(),
        Fault::Garbage => stream(
            answer,
            vec!["data: {\"choices\": nonsense\n\n".into()],
            After::End,
        ),
        Fault::NoEnd => stream(answer, events, After::End),
        Fault::Hang(after) => stream(answer, first(events, after), After::Hang),
        Fault::Cut(after) => stream(answer, first(events, after), After::Cut),
        Fault::Error(after) => {
            let mut events = first(events, after);
            let error = json!({ "code": "server_error", "message": "the engine is gone" });
            events.push(event(&match api {
                Api::Chat => json!({ "error": error }),
                Api::Responses => {
                    json!({ "type": "response.failed", "response": { "error": error } })
                }
            }));
            stream(answer, events, After::End)
        }
        Fault::None => {
            let mut events = events;
            events.extend(api.end(text, usage));
            stream(answer, events, After::End)
        }
    }
}

/// What comes after the last event.
enum After {
    End,
    Hang,
    Cut,
}

fn stream(answer: &Answer, events: Vec<String>, after: After) -> Response {
    let between = answer.between;
    let body = match after {
        // The cheap way, for benchmarks: one write.
        After::End if between.is_zero() => Body::from(events.concat()),
        after => {
            let told =
                stream::iter(events.into_iter().enumerate()).then(move |(n, event)| async move {
                    if n > 0 {
                        tokio::time::sleep(between).await;
                    }
                    Ok(Bytes::from(event))
                });
            let rest = stream::once(async move {
                match after {
                    After::End => None,
                    After::Hang => std::future::pending().await,
                    After::Cut => {
                        // What was told before leaves first.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        Some(Err(io::Error::other("cut")))
                    }
                }
            });
            Body::from_stream(told.chain(rest.filter_map(std::future::ready)))
        }
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn refusal(status: u16, retry_after_s: Option<u64>) -> Response {
    let name = match status {
        401 => "invalid_api_key",
        404 => "model_not_found",
        429 => "rate_limit_exceeded",
        _ => "server_error",
    };
    let status = StatusCode::from_u16(status).expect("a test scripts a real status");
    let body = axum::Json(json!({ "error": { "code": name, "message": "no: key sk-canary" } }));
    let mut response = (status, body).into_response();
    if let Some(seconds) = retry_after_s {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    if status.is_redirection() {
        let elsewhere = header::HeaderValue::from_static("http://127.0.0.1:9/v1");
        response.headers_mut().insert(header::LOCATION, elsewhere);
    }
    response
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn first(mut events: Vec<String>, count: usize) -> Vec<String> {
    events.truncate(count);
    events
}

/// `text` in about `count` pieces, none empty.
fn pieces(text: &str, count: usize) -> impl Iterator<Item = &str> {
    let chars = text.chars().count().div_ceil(count.max(1)).max(1);
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .nth(chars)
            .map_or(rest.len(), |(end, _)| end);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}
