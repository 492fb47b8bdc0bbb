//! Speaks `/responses`: what is asked, and what its events and whole answers mean.
//!
//! Source: OpenAI API reference, "Responses" and "Streaming events", read 2026-11-20.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{progress::Progress, status};
use crate::{
    backend::{Question, Usage},
    failure::Failure,
};

/// Where requests go, below the API's address.
pub(super) const PATH: &str = "responses";

/// The request for an answer to `question`. The provider is asked to keep nothing: the ledger does.
pub(super) fn request(question: &Question) -> Value {
    let mut request = json!({ "model": question.model, "input": question.messages, "stream": true, "store": false });
    if !question.system.is_empty() {
        request["instructions"] = json!(question.system);
    }
    if let Some(effort) = question.effort {
        request["reasoning"] = json!({ "effort": effort });
    }
    request
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    delta: String,
    #[serde(default)]
    response: Option<Response>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    status: Option<String>,
    error: Option<Value>,
    output: Vec<Item>,
    usage: Option<Counted>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    content: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default, alias = "refusal")]
    text: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct Incomplete {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

/// Takes one event of a streamed answer.
///
/// # Errors
/// When it is an error message, or nothing that we know.
pub(super) fn take(data: &str, progress: &mut Progress) -> Result<(), Failure> {
    if data == "[DONE]" {
        progress.done = true;
        return Ok(());
    }
    // Deltas of other kinds may be objects; the kind is looked at first.
    let value: Value = serde_json::from_str(data).map_err(|_| progress.garbage())?;
    match value["type"].as_str() {
        Some("response.output_text.delta" | "response.refusal.delta") => {
            let event: Event = serde_json::from_value(value).map_err(|_| progress.garbage())?;
            progress.say(event.delta);
        }
        Some("response.completed" | "response.incomplete" | "response.failed") => {
            let event: Event = serde_json::from_value(value).map_err(|_| progress.garbage())?;
            let failed = event.kind == "response.failed";
            let response = event.response.unwrap_or_default();
            if failed {
                return Err(status::of_error(&response.error.unwrap_or_default()));
            }
            end(response, progress)?;
        }
        Some("error") => return Err(status::of_error(value.get("error").unwrap_or(&value))),
        Some(_) => {}
        None if value.get("error").is_some() => return Err(status::of_error(&value["error"])),
        None => return Err(progress.garbage()),
    }
    Ok(())
}

/// Takes a whole answer.
///
/// # Errors
/// When it is an error message, or nothing that we know.
pub(super) fn take_whole(data: &str, progress: &mut Progress) -> Result<(), Failure> {
    let response: Response = serde_json::from_str(data).map_err(|_| progress.garbage())?;
    end(response, progress)
}

fn end(response: Response, progress: &mut Progress) -> Result<(), Failure> {
    if let Some(error) = response.error.filter(|error| !error.is_null()) {
        return Err(status::of_error(&error));
    }
    // After a stream the texts are known already.
    if !progress.spoke {
        let parts = response.output.into_iter().flat_map(|item| item.content);
        for part in
            parts.filter(|part| matches!(part.kind.as_str(), "output_text" | "refusal" | "text"))
        {
            progress.say(part.text);
        }
    }
    if let Some(counted) = response.usage {
        progress.usage = Some(Usage {
            input_tokens: counted.input_tokens,
            output_tokens: counted.output_tokens,
        });
    }
    // The same words as the other API has for it.
    progress.stop_reason = Some(
        match response
            .incomplete_details
            .map(|details| details.reason)
            .as_deref()
        {
            Some("max_output_tokens") => "length".into(),
            Some(reason) if !reason.is_empty() => reason.into(),
            _ => response
                .status
                .filter(|status| status != "completed")
                .unwrap_or("stop".into()),
        },
    );
    progress.done = true;
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
    fn a_request_carries_instructions_and_input() {
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
            "instructions": "be brief",
            "input": [{ "role": "user", "content": "hi" }],
            "stream": true,
            "reasoning": { "effort": "low" },
            "store": false,
        });
        assert_eq!(request(&question), expected);
    }

    #[test]
    fn events_add_up_to_an_answer() {
        let mut progress = Progress::default();
        for data in [
            r#"{"type":"response.created","response":{"status":"in_progress","output":[]}}"#,
            r#"{"type":"response.output_text.delta","delta":"he","sequence_number":4}"#,
            r#"{"type":"response.reasoning_summary.delta","delta":{"text":"hm"}}"#,
            r#"{"type":"response.output_text.delta","delta":"llo"}"#,
            r#"{"type":"response.completed","response":{"status":"completed","error":null,"incomplete_details":null,
                "output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}],
                "usage":{"input_tokens":3,"output_tokens":2}}}"#,
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
    fn a_whole_answer_leaves_out_what_is_no_text() {
        let mut progress = Progress::default();
        let data = r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[
            {"type":"reasoning","content":[{"type":"reasoning_text","text":"hm"}]},
            {"type":"message","content":[{"type":"output_text","text":"hello"}]}]}"#;
        take_whole(data, &mut progress).unwrap();
        assert_eq!(progress.texts, ["hello"]);
        assert_eq!(progress.stop_reason.as_deref(), Some("length"));
    }

    #[test]
    fn failures_have_their_kind() {
        let problem = |data| take(data, &mut Progress::default()).unwrap_err().problem;
        let failed = r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":""}}}"#;
        assert_eq!(problem(failed), Problem::RateLimited);
        assert_eq!(
            problem(r#"{"type":"error","code":"server_error"}"#),
            Problem::Unavailable
        );
        assert_eq!(problem(r#"{"hello":1}"#), Problem::Garbage);
    }
}
