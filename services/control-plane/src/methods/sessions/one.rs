//! One session, or a few: its row, what was said in it, and how that looks in short.

use chassis::clock::now_ms;
use proto::v1::{HistoryRequest, Line};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    Call,
    chat::{history, meant},
};
use crate::{refusal::Refusal, schema::Text, sessions::row::Extras};

/// Lines of a session told where a client does not say how many.
const LINES: u32 = 200;
/// Lines and characters of a preview where a client does not say.
const PREVIEW: (u32, usize) = (12, 240);
/// Most sessions previewed at once, most lines of each, and most characters of a line.
const MOST_PREVIEWED: (usize, u32, usize) = (64, 50, 2000);

/// Which session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Describe {
    key: Text,
    agent_id: Option<Text>,
    include_derived_titles: Option<bool>,
    include_last_message: Option<bool>,
}

/// Which session, and how much of it. Open, as the reference does not say what else it takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Get {
    key: Text,
    agent_id: Option<Text>,
    limit: Option<u32>,
}

/// Which sessions, and how much of each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Preview {
    keys: Vec<Text>,
    limit: Option<u32>,
    max_chars: Option<usize>,
}

/// The row of one session; null where there is none.
pub(super) async fn describe(call: &Call, params: Describe) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let extras = Extras {
        titles: params.include_derived_titles == Some(true),
        last: params.include_last_message == Some(true),
    };
    call.gateway.settings.catch_up().await;
    let found = call.gateway.session(&agent, &key.to_string()).await?;
    let row = found.map(|row| call.gateway.show(&row, extras, now_ms()));
    Ok(json!({"session": row}))
}

/// What was said in a session, newest lines, oldest first.
pub(super) async fn get(call: &Call, params: Get) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let request = HistoryRequest {
        agent,
        session_key: key.to_string(),
        ..HistoryRequest::default()
    };
    let limit = params.limit.unwrap_or(LINES).clamp(1, 1000);
    let messages = history::newest(call, request, limit).await?;
    Ok(json!({"messages": messages}))
}

/// The last lines of several sessions, each cut short.
pub(super) async fn preview(call: &Call, params: Preview) -> Result<Value, Refusal> {
    let (most_sessions, most_lines, most_chars) = MOST_PREVIEWED;
    let limit = params.limit.unwrap_or(PREVIEW.0).clamp(1, most_lines);
    let chars = params.max_chars.unwrap_or(PREVIEW.1).clamp(20, most_chars);
    let mut previews = Vec::new();
    for spelled in params.keys.iter().take(most_sessions) {
        previews.push(previewed(call, spelled, limit, chars).await?);
    }
    Ok(json!({"ts": now_ms(), "previews": previews}))
}

async fn previewed(call: &Call, spelled: &str, limit: u32, chars: usize) -> Result<Value, Refusal> {
    let Ok((agent, key)) = meant(call, spelled, None) else {
        return Ok(json!({"key": spelled, "status": "missing", "items": []}));
    };
    let request = HistoryRequest {
        agent: agent.clone(),
        session_key: key.to_string(),
        ..HistoryRequest::default()
    };
    let told = history::gather(call, request, limit).await?;
    let items: Vec<Value> = told
        .lines
        .iter()
        .filter(|line| matches!(line.role.as_str(), "user" | "assistant"))
        .map(|line| item(line, chars))
        .collect();
    let status = match items.is_empty() {
        false => "ok",
        true if call
            .gateway
            .session(&agent, &key.to_string())
            .await?
            .is_some() =>
        {
            "empty"
        }
        true => "missing",
    };
    Ok(json!({"key": spelled, "status": status, "items": items}))
}

fn item(line: &Line, chars: usize) -> Value {
    let text = match line.text.char_indices().nth(chars) {
        None => line.text.clone(),
        Some((end, _)) => format!("{}…", &line.text[..end]),
    };
    json!({"role": line.role, "text": text})
}
