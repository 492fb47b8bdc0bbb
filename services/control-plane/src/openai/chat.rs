//! `/v1/chat/completions`: what is read and written.
//!
//! Source: OpenAI API reference, "Chat Completions", read 2026-11-20.

use chassis::clock::now_ms;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ask::{Asked, Meant},
    content::{Content, Conversation, Said},
    problem::Problem,
    wire::finish_reason,
};
use crate::{turns::turn_id, verdict::Verdict};

/// A request. Open: what is not here, as the temperature, is for the agent's settings to say.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    functions: Option<Vec<Value>>,
    #[serde(default)]
    response_format: Option<Format>,
    #[serde(default)]
    reasoning_effort: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The form in which an answer is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Format {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// How the answer is written.
#[derive(Debug)]
pub(super) struct Wire {
    id: String,
    created: i64,
    model: String,
    usage: bool,
}

/// Reads a request.
///
/// # Errors
/// What of it cannot be done.
pub(super) fn read(request: Request) -> Result<(Asked, Wire), Problem> {
    if request.n.is_some_and(|n| n != 1) {
        return Err(Problem::unsupported(
            "n",
            "One answer is given to a request; leave `n` out.",
        ));
    }
    let given = |list: &Option<Vec<Value>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if given(&request.tools) || given(&request.functions) {
        let message =
            "Agents here have tools of their own and call none of the client's; leave `tools` out.";
        return Err(Problem::unsupported("tools", message));
    }
    if let Some(format) = request
        .response_format
        .filter(|format| format.kind != "text")
    {
        let message = format!("Answers are text; `{}` cannot be promised.", format.kind);
        return Err(Problem::unsupported("response_format", message));
    }
    let mut lines = Vec::with_capacity(request.messages.len());
    for (n, message) in request.messages.iter().enumerate() {
        let at = format!("messages[{n}]");
        let text = match &message.content {
            Some(content) => content.text(&at)?,
            None => String::new(),
        };
        lines.push(Said::new(&message.role, text, &at)?);
    }
    let wire = Wire {
        id: String::new(),
        created: now_ms() / 1000,
        model: request.model.clone(),
        usage: request.stream_options.unwrap_or_default().include_usage,
    };
    let asked = Asked {
        model: request.model,
        conversation: Conversation::of(lines, "messages")?,
        user: request.user,
        previous: None,
        effort: request.reasoning_effort,
        stream: request.stream.unwrap_or_default(),
    };
    Ok((asked, wire))
}

impl Wire {
    pub(super) fn name(&mut self, meant: &Meant) {
        self.id = format!("chatcmpl-{}", turn_id(&meant.ask.run_id));
    }

    pub(super) fn whole(&self, verdict: &Verdict) -> Value {
        let message = json!({"role": "assistant", "content": verdict.text, "refusal": null});
        let choice = json!({
            "index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(verdict),
        });
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [choice], "usage": usage(verdict),
        })
    }

    pub(super) fn begin(&self) -> String {
        self.chunk(
            &json!([choice(&json!({"role": "assistant", "content": ""}), None)]),
            None,
        )
    }

    pub(super) fn piece(&self, text: &str) -> String {
        self.chunk(&json!([choice(&json!({"content": text}), None)]), None)
    }

    pub(super) fn end(&self, verdict: &Verdict) -> String {
        let last = choice(&json!({}), Some(finish_reason(verdict)));
        let mut frames = self.chunk(&json!([last]), None);
        if self.usage {
            frames += &self.chunk(&json!([]), Some(usage(verdict)));
        }
        frames + "data: [DONE]\n\n"
    }

    pub(super) fn broken(&self, problem: &Problem) -> String {
        format!("data: {}\n\n", problem.json())
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>) -> String {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if self.usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n")
    }
}

fn choice(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason})
}

fn usage(verdict: &Verdict) -> Value {
    let (input, output) = (verdict.input_tokens, verdict.output_tokens);
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(change: Value) -> String {
        let mut request =
            json!({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]});
        for (key, value) in change.as_object().unwrap() {
            request[key] = value.clone();
        }
        match read(serde_json::from_value(request).unwrap()) {
            Ok(_) => "fine".into(),
            Err(problem) => problem.json()["error"]["param"].to_string(),
        }
    }

    #[test]
    fn what_agents_do_not_do_is_refused_and_not_ignored() {
        assert_eq!(
            why(json!({"temperature": 0.2, "n": 1, "tools": []})),
            "fine"
        );
        assert_eq!(why(json!({"n": 2})), "\"n\"");
        assert_eq!(why(json!({"tools": [{}]})), "\"tools\"");
        assert_eq!(
            why(json!({"response_format": {"type": "json_object"}})),
            "\"response_format\""
        );
        assert_eq!(
            why(json!({"messages": [{"role": "tool", "content": "x"}]})),
            "\"messages[0]\""
        );
        assert_eq!(why(json!({"messages": []})), "\"messages\"");
    }

    #[test]
    fn a_stream_has_usage_where_it_is_asked_for() {
        let mut wire = Wire {
            id: "c".into(),
            created: 1,
            model: "openclaw".into(),
            usage: false,
        };
        let end = wire.end(&Verdict::default());
        assert!(
            end.ends_with("data: [DONE]\n\n") && !end.contains("usage"),
            "{end}"
        );
        wire.usage = true;
        assert!(wire.begin().contains(r#""usage":null"#));
        assert!(wire.end(&Verdict::default()).contains("total_tokens"));
    }
}
