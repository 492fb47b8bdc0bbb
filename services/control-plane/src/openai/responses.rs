//! `/v1/responses`: what is read and written.
//!
//! Source: OpenAI API reference, "Responses" and "Streaming events", read 2026-11-20.

use chassis::clock::now_ms;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ask::{Asked, Meant},
    chat::Format,
    content::{Content, Conversation, Said},
    problem::Problem,
    wire::finish_reason,
};
use crate::{turns::turn_id, verdict::Verdict};

/// A request. Open: what is not here, as the temperature, is for the agent's settings to say.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    model: String,
    input: Input,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    previous_response_id: Option<String>,
    #[serde(default)]
    background: Option<bool>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    text: Option<TextOptions>,
    #[serde(default)]
    reasoning: Option<Reasoning>,
    #[serde(default)]
    metadata: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Item>),
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
struct TextOptions {
    #[serde(default)]
    format: Option<Format>,
}

#[derive(Debug, Deserialize)]
struct Reasoning {
    #[serde(default)]
    effort: Option<String>,
}

/// How the answer is written.
#[derive(Debug)]
pub(super) struct Wire {
    id: String,
    item: String,
    created: i64,
    model: String,
    instructions: Option<String>,
    previous: Option<String>,
    user: Option<String>,
    metadata: Value,
    /// Number of the next event of a stream.
    number: u64,
    text: String,
}

/// Reads a request.
///
/// # Errors
/// What of it cannot be done.
pub(super) fn read(request: Request) -> Result<(Asked, Box<Wire>), Problem> {
    if request.background == Some(true) {
        let message =
            "Answers are not kept to be fetched later; leave `background` out and stream instead.";
        return Err(Problem::unsupported("background", message));
    }
    if request
        .tools
        .as_ref()
        .is_some_and(|tools| !tools.is_empty())
    {
        let message =
            "Agents here have tools of their own and call none of the client's; leave `tools` out.";
        return Err(Problem::unsupported("tools", message));
    }
    let format = request.text.and_then(|text| text.format);
    if let Some(format) = format.filter(|format| format.kind != "text") {
        let message = format!("Answers are text; `{}` cannot be promised.", format.kind);
        return Err(Problem::unsupported("text.format", message));
    }
    let mut lines = lines(&request.input)?;
    if let Some(instructions) = &request.instructions {
        lines.insert(
            0,
            Said::new("system", instructions.clone(), "instructions")?,
        );
    }
    let previous = request.previous_response_id.filter(|id| !id.is_empty());
    let thread = match (&previous, &request.user) {
        (Some(id), None) => Some(thread(id)?),
        _ => None,
    };
    let wire = Wire {
        id: String::new(),
        item: String::new(),
        created: now_ms() / 1000,
        model: request.model.clone(),
        instructions: request.instructions,
        previous,
        user: request.user.clone(),
        metadata: request.metadata.unwrap_or_else(|| json!({})),
        number: 0,
        text: String::new(),
    };
    let asked = Asked {
        model: request.model,
        conversation: Conversation::of(lines, "input")?,
        user: request.user,
        previous: thread,
        effort: request.reasoning.and_then(|reasoning| reasoning.effort),
        stream: request.stream.unwrap_or_default(),
    };
    Ok((asked, Box::new(wire)))
}

fn lines(input: &Input) -> Result<Vec<Said>, Problem> {
    let items = match input {
        Input::Text(text) => return Ok(vec![Said::new("user", text.clone(), "input")?]),
        Input::Items(items) => items,
    };
    let mut lines = Vec::with_capacity(items.len());
    for (n, item) in items.iter().enumerate() {
        let at = format!("input[{n}]");
        match item.kind.as_deref() {
            None | Some("message") => {}
            // What a model thought is its own matter.
            Some("reasoning") => continue,
            Some(kind) => {
                let message = format!("Items of type `{kind}` are not taken; send messages.");
                return Err(Problem::unsupported(&at, message));
            }
        }
        let text = match &item.content {
            Some(content) => content.text(&at)?,
            None => String::new(),
        };
        lines.push(Said::new(&item.role, text, &at)?);
    }
    Ok(lines)
}

/// The session that the answer `id` was given in.
fn thread(id: &str) -> Result<String, Problem> {
    let unknown = || {
        let message = format!(
            "There is no response `{id}` to go on from; give `user` to keep a session instead."
        );
        Problem::param("previous_response_id", message)
    };
    let (_, thread) = id.split_once('.').ok_or_else(unknown)?;
    let good = thread.len() == 32 && thread.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| thread.to_owned()).ok_or_else(unknown)
}

impl Wire {
    pub(super) fn name(&mut self, meant: &Meant) {
        let turn_id = turn_id(&meant.ask.run_id);
        // Who goes on from this answer finds its session by this.
        self.id = match meant.thread.as_str() {
            "" => format!("resp_{turn_id}"),
            thread => format!("resp_{turn_id}.{thread}"),
        };
        self.item = format!("msg_{turn_id}");
    }

    pub(super) fn whole(&self, verdict: &Verdict) -> Value {
        let length = finish_reason(verdict) == "length";
        let status = if length { "incomplete" } else { "completed" };
        let mut response = self.response(status);
        response["output"] = json!([self.message(&verdict.text, status)]);
        if length {
            response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        let (input, output) = (verdict.input_tokens, verdict.output_tokens);
        response["usage"] = json!({
            "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input + output,
        });
        response
    }

    pub(super) fn begin(&mut self) -> String {
        let response = self.response("in_progress");
        let mut item = self.message("", "in_progress");
        item["content"] = json!([]);
        let part = text_part("");
        let id = self.item.clone();
        [
            self.event("response.created", json!({"response": response})),
            self.event("response.in_progress", json!({"response": response})),
            self.event(
                "response.output_item.added",
                json!({"output_index": 0, "item": item}),
            ),
            self.event(
                "response.content_part.added",
                json!({"item_id": id, "output_index": 0, "content_index": 0, "part": part}),
            ),
        ]
        .concat()
    }

    pub(super) fn piece(&mut self, text: &str) -> String {
        self.text.push_str(text);
        let id = self.item.clone();
        self.event(
            "response.output_text.delta",
            json!({"item_id": id, "output_index": 0, "content_index": 0, "delta": text, "logprobs": []}),
        )
    }

    pub(super) fn end(&mut self, verdict: &Verdict) -> String {
        let response = self.whole(verdict);
        let kind = match response["status"].as_str() {
            Some("incomplete") => "response.incomplete",
            _ => "response.completed",
        };
        let (id, text) = (self.item.clone(), verdict.text.as_str());
        let item = response["output"][0].clone();
        [
            self.event(
                "response.output_text.done",
                json!({"item_id": id, "output_index": 0, "content_index": 0, "text": text, "logprobs": []}),
            ),
            self.event(
                "response.content_part.done",
                json!({"item_id": id, "output_index": 0, "content_index": 0, "part": text_part(text)}),
            ),
            self.event("response.output_item.done", json!({"output_index": 0, "item": item})),
            self.event(kind, json!({"response": response})),
        ]
        .concat()
    }

    pub(super) fn broken(&mut self, problem: &Problem) -> String {
        let mut response = self.response("failed");
        let error = &problem.json()["error"];
        let code = match error["code"].as_str() {
            Some("rate_limit_exceeded") => "rate_limit_exceeded",
            _ => "server_error",
        };
        response["error"] = json!({"code": code, "message": error["message"]});
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            response["output"] = json!([self.message(&text, "incomplete")]);
        }
        self.event("response.failed", json!({"response": response}))
    }

    fn response(&self, status: &str) -> Value {
        json!({
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "model": self.model,
            "output": [], "error": null, "incomplete_details": null, "instructions": self.instructions,
            "previous_response_id": self.previous, "user": self.user, "metadata": self.metadata,
            "parallel_tool_calls": false, "tool_choice": "none", "tools": [], "usage": null, "store": false,
            "temperature": null, "top_p": null, "max_output_tokens": null, "truncation": "disabled",
            "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null},
        })
    }

    fn message(&self, text: &str, status: &str) -> Value {
        json!({
            "type": "message", "id": self.item, "status": status, "role": "assistant",
            "content": [text_part(text)],
        })
    }

    fn event(&mut self, kind: &str, mut data: Value) -> String {
        data["type"] = kind.into();
        data["sequence_number"] = self.number.into();
        self.number += 1;
        format!("event: {kind}\ndata: {data}\n\n")
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}
