//! Speaks `/chat/completions`: what is asked, and what its pieces and whole answers mean.
//!
//! Source: OpenAI API reference, "Chat Completions", read 2026-11-20; what other servers leave out is optional here.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{progress::Progress, status};
use crate::{
    backend::{Question, Usage},
    failure::Failure,
};

/// Where requests go, below the API's address.
pub(super) const PATH: &str = "chat/completions";

/// The request for an answer to `question`.
pub(super) fn request(question: &Question, stream_usage: bool) -> Value {
    let mut messages = Vec::with_capacity(question.messages.len() + 1);
    if !question.system.is_empty() {
        messages.push(json!({ "role": "system", "content": question.system }));
    }
    messages.extend(question.messages.iter().map(|message| json!(message)));
    let mut request = json!({ "model": question.model, "messages": messages, "stream": true });
    if let Some(effort) = question.effort {
        request["reasoning_effort"] = json!(effort);
    }
    if stream_usage {
        request["stream_options"] = json!({ "include_usage": true });
    }
    request
}

/// A piece of a streamed answer, or a whole one: they differ in `delta` and `message`.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Counted>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    #[serde(default, alias = "message")]
    delta: Option<Said>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// Takes one piece of a streamed answer, or a whole answer.
///
/// # Errors
/// When it is an error message, or nothing that we know.
pub(super) fn take(data: &str, progress: &mut Progress) -> Result<(), Failure> {
    if data == "[DONE]" {
        progress.done = true;
        return Ok(());
    }
    let chunk: Chunk = serde_json::from_str(data).map_err(|_| progress.garbage())?;
    if let Some(error) = &chunk.error {
        return Err(status::of_error(error));
    }
    if let Some(counted) = chunk.usage {
        progress.usage = Some(Usage {
            input_tokens: counted.prompt_tokens,
            output_tokens: counted.completion_tokens,
        });
    }
    for choice in chunk
        .choices
        .into_iter()
        .flatten()
        .filter(|choice| choice.index == 0)
    {
        if let Some(said) = choice.delta {
            match said.content {
                Some(Content::Text(text)) => progress.say(text),
                Some(Content::Parts(parts)) => {
                    parts.into_iter().for_each(|part| progress.say(part.text))
                }
                None => {}
            }
            // A refusal is an answer too: the model says in words why it will not.
            progress.say(said.refusal.unwrap_or_default());
        }
        if choice.finish_reason.is_some() {
            progress.stop_reason = choice.finish_reason;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Message, Role},
        failure::Problem,
    };

    #[test]
    fn a_request_asks_for_a_stream_with_usage() {
        let question = Question {
            model: "m".into(),
            system: "be brief".into(),
            messages: vec![Message {
                role: Role::User,
                content: "hi".into(),
            }],
            effort: Some("low"),
        };
        let expected = json!({
            "model": "m",
            "messages": [{ "role": "system", "content": "be brief" }, { "role": "user", "content": "hi" }],
            "stream": true,
            "reasoning_effort": "low",
            "stream_options": { "include_usage": true },
        });
        assert_eq!(request(&question, true), expected);
        assert_eq!(request(&question, false).get("stream_options"), None);
    }

    #[test]
    fn pieces_add_up_to_an_answer() {
        let mut progress = Progress::default();
        for data in [
            r#"{"choices":[],"prompt_filter_results":[]}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"he"}},{"index":1,"delta":{"content":"no"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"llo"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
        ] {
            take(data, &mut progress).unwrap();
        }
        assert_eq!(progress.texts, ["he", "llo"]);
        assert_eq!(
            progress.usage,
            Some(Usage {
                input_tokens: 3,
                output_tokens: 2
            })
        );
        assert!(progress.done && progress.stop_reason.as_deref() == Some("stop"));
    }

    #[test]
    fn a_whole_answer_is_taken_like_a_piece() {
        let mut progress = Progress::default();
        let data = r#"{"choices":[{"message":{"role":"assistant","content":[{"type":"text","text":"hello"}]},
            "finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
        take(data, &mut progress).unwrap();
        assert_eq!(progress.texts, ["hello"]);
        assert_eq!(progress.stop_reason.as_deref(), Some("length"));
    }

    #[test]
    fn an_error_in_the_stream_and_garbage_are_failures() {
        let mut progress = Progress::default();
        let error = take(r#"{"error":{"message":"busy","code":502}}"#, &mut progress).unwrap_err();
        assert_eq!(error.problem, Problem::Unavailable);
        let error = take("<html>", &mut progress).unwrap_err();
        assert_eq!(error.problem, Problem::Garbage);
    }
}
