//! What was said in a session, as the ledger knows it.

use std::time::Duration;

use proto::{
    subject,
    v1::{HistoryReply, HistoryRequest, Line},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Call, meant};
use crate::{gateway::Gateway, refusal::Refusal, schema::Text};

/// Lines told where a client does not say how many.
const LINES: u32 = 200;
/// Most lines of one answer.
const MOST_LINES: u32 = 1000;
/// Lines asked of the ledger at once.
const PAGE: u32 = 200;
/// Most lines that are skipped to get at older ones.
const MOST_SKIPPED: u32 = 20_000;
/// Longest text of one line, in characters.
const MOST_CHARS: usize = 500_000;
/// Largest answer, in bytes.
const MOST_BYTES: usize = 6_000_000;
/// How long the ledger may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which part of what was said. Open: of the reference's other ways to page through it none is offered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct History {
    session_key: Text,
    agent_id: Option<Text>,
    limit: Option<u32>,
    offset: Option<u32>,
    max_chars: Option<usize>,
    max_bytes: Option<usize>,
    cursor: Option<String>,
}

/// The newest lines of a session, oldest first.
pub(crate) async fn history(call: &Call, params: History) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.session_key, params.agent_id.as_deref())?;
    let limit = params.limit.unwrap_or(LINES);
    if !(1..=MOST_LINES).contains(&limit) {
        let rule = if limit == 0 {
            ">= 1".to_owned()
        } else {
            format!("<= {MOST_LINES}")
        };
        let why = format!("invalid {} params: at /limit: must be {rule}", call.name());
        return Err(Refusal::Invalid(why));
    }
    let offset = params.offset.unwrap_or(0).min(MOST_SKIPPED);
    let session_key = key.to_string();
    let request = HistoryRequest {
        agent: agent.clone(),
        session_key: session_key.clone(),
        ..HistoryRequest::default()
    };
    let set = call.gateway.set_of(&request.agent, &request.session_key);
    let thinking = set.and_then(|set| serde_json::from_str(set.shown.get("thinkingLevel")?).ok());
    let thinking = thinking.unwrap_or_else(|| json!("off"));
    let told = gather(call, request, offset + limit).await?;
    let protocol = call.client.grant.protocol;
    let most_chars = params.max_chars.unwrap_or(MOST_CHARS).clamp(1, MOST_CHARS);
    let most_bytes = params
        .max_bytes
        .unwrap_or(MOST_BYTES)
        .clamp(1024, MOST_BYTES);
    let skipped = offset as usize;
    let (messages, taken) = fit(shown(call, &told, skipped, most_chars), most_bytes);
    let mut answer = json!({
        "sessionKey": &*params.session_key, "messages": messages, "thinkingLevel": thinking,
    });
    if !told.session_id.is_empty() {
        answer["sessionId"] = told.session_id.into();
    }
    if protocol >= 4 {
        let next = skipped + taken;
        let more = told.total > next as u64;
        answer["pendingInputs"] = json!({"items": [], "total": 0});
        answer["hasMore"] = more.into();
        answer["totalMessages"] = told.total.into();
        if let Some((run_id, text)) = call.gateway.runs().in_flight(&agent, &session_key) {
            answer["inFlightRun"] = json!({"runId": run_id, "text": text});
        }
        if more {
            answer["nextOffset"] = next.into();
        }
        if params.cursor.is_some() {
            answer["kind"] = "reset".into();
        }
    }
    Ok(answer)
}

/// The newest `wanted` lines, page by page: the ledger's answers are bounded.
pub(in crate::methods) async fn gather(
    call: &Call,
    mut request: HistoryRequest,
    wanted: u32,
) -> Result<HistoryReply, Refusal> {
    let mut all = HistoryReply::default();
    while all.lines.len() < wanted as usize {
        let missing = wanted - u32::try_from(all.lines.len()).unwrap_or(wanted);
        request.limit = missing.min(PAGE);
        request.before = all.lines.first().map_or(0, |line| line.id);
        let mut page: HistoryReply = call
            .gateway
            .bus
            .ask(subject::HISTORY, &request, PATIENCE)
            .await?;
        if all.lines.is_empty() {
            (all.total, all.session_id) = (page.total, page.session_id);
        }
        let last = page.lines.is_empty() || page.lines[0].id <= 1;
        page.lines.append(&mut all.lines);
        all.lines = page.lines;
        if last || all.lines.len() as u64 >= all.total {
            break;
        }
    }
    Ok(all)
}

/// The newest `wanted` lines as clients show them, oldest first.
pub(in crate::methods) async fn newest(
    call: &Call,
    request: HistoryRequest,
    wanted: u32,
) -> Result<Vec<Value>, Refusal> {
    let told = gather(call, request, wanted).await?;
    Ok(fit(shown(call, &told, 0, MOST_CHARS), MOST_BYTES).0)
}

/// Lines as clients show them, newest first but for the first `skipped`.
fn shown<'a>(
    call: &'a Call,
    told: &'a HistoryReply,
    skipped: usize,
    most_chars: usize,
) -> impl Iterator<Item = Option<Value>> + 'a {
    let protocol = call.client.grant.protocol;
    let newest = told.lines.iter().rev().enumerate().skip(skipped);
    newest.map(move |(back, line)| {
        let seq = told.total.saturating_sub(back as u64).max(1);
        let runs = call.gateway.runs();
        message(line, seq, runs.name(&line.turn_id), protocol, most_chars)
    })
}

/// One line as clients of `protocol` show it, the `seq`th of its session.
pub(crate) fn told(gateway: &Gateway, line: &Line, seq: u64, protocol: u8) -> Option<Value> {
    let runs = gateway.runs();
    message(line, seq, runs.name(&line.turn_id), protocol, MOST_CHARS)
}

/// As many of `newest` as fit, oldest first, and how many lines that took.
fn fit(newest: impl Iterator<Item = Option<Value>>, most_bytes: usize) -> (Vec<Value>, usize) {
    let (mut messages, mut bytes, mut taken) = (Vec::new(), 0, 0);
    for message in newest {
        if let Some(message) = message {
            bytes += message.to_string().len() + 1;
            if bytes > most_bytes && !messages.is_empty() {
                break;
            }
            messages.push(message);
        }
        taken += 1;
    }
    messages.reverse();
    (messages, taken)
}

/// A line as clients show it; none for what is not said by anybody.
fn message(line: &Line, seq: u64, run_id: &str, protocol: u8, most_chars: usize) -> Option<Value> {
    if !matches!(line.role.as_str(), "user" | "assistant") {
        return None;
    }
    let text = cut(&line.text, most_chars);
    let mut message = json!({
        "role": line.role, "content": [{"type": "text", "text": text}], "timestamp": line.at_ms,
    });
    if line.role == "assistant" {
        message["provider"] = line.provider.as_str().into();
        message["model"] = line.model.as_str().into();
        message["stopReason"] = line.stop_reason.as_str().into();
        let total = line.input_tokens + line.output_tokens;
        message["usage"] = json!({
            "input": line.input_tokens, "output": line.output_tokens, "totalTokens": total, "cacheRead": 0,
            "cacheWrite": 0,
        });
    } else if !line.sender.is_empty() {
        message["senderLabel"] = line.sender.as_str().into();
    }
    if protocol >= 4 {
        let mut own =
            json!({"id": line.id.to_string(), "seq": seq, "recordTimestampMs": line.at_ms});
        if !run_id.is_empty() {
            own["runId"] = run_id.into();
            if line.role == "user" {
                let key = format!("{run_id}:user");
                own["idempotencyKey"] = key.as_str().into();
                message["idempotencyKey"] = key.into();
            }
        }
        message["__openclaw"] = own;
    }
    Some(message)
}

/// At most `most` characters of `text`, saying so where it is cut.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}\n…(truncated)…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(role: &str, text: &str) -> Line {
        Line {
            id: 7,
            role: role.into(),
            text: text.into(),
            at_ms: 5,
            turn_id: "t".into(),
            ..Line::default()
        }
    }

    #[test]
    fn a_line_has_the_shape_of_its_protocol() {
        let old = message(&line("user", "hi"), 3, "key-1", 3, 100).unwrap();
        assert_eq!(
            old,
            json!({"role": "user", "content": [{"type": "text", "text": "hi"}], "timestamp": 5})
        );
        let new = message(&line("user", "hi"), 3, "key-1", 4, 100).unwrap();
        assert_eq!(new["idempotencyKey"], "key-1:user");
        assert_eq!(
            new["__openclaw"],
            json!({"id": "7", "seq": 3, "recordTimestampMs": 5, "runId": "key-1", "idempotencyKey": "key-1:user"})
        );
        assert_eq!(message(&line("system", "x"), 1, "", 4, 100), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("éééé", 2), "éé\n…(truncated)…");
        assert_eq!(cut("éé", 2), "éé");
    }

    #[test]
    fn the_newest_that_fit_are_told_oldest_first_and_one_always_is() {
        let big = |n: u64| Some(json!({"n": n, "text": "x".repeat(100)}));
        let (messages, taken) = fit([big(3), None, big(2), big(1)].into_iter(), 300);
        assert_eq!((messages.len(), taken), (2, 3));
        assert_eq!(messages[0]["n"], 2);
        assert_eq!(fit([big(1)].into_iter(), 10).0.len(), 1);
    }
}
