//! What sessions used: tokens, cost and messages, by session, day and model.

use chassis::clock::now_ms;
use proto::{
    session, subject,
    v1::{HistoryRequest, Line, UsageReply, UsageRequest},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::super::{
    Call,
    chat::{history, meant},
};
use crate::{refusal::Refusal, schema::Text, sessions::row::Place};
use sum::{Sum, dated};

mod days;
mod sum;

/// How long the ledger may take: it may have to read much.
const PATIENCE: Duration = Duration::from_secs(20);
/// Sessions told where a client does not say how many, and at most.
const SESSIONS: (usize, usize) = (50, 1000);
/// Lines of one session that its curve and its log are made from.
const LINES: u32 = 1000;
/// Longest text of a line of a log, in characters.
const LOG_CHARS: usize = 2000;

/// Which time, and whose. What counts context or earlier lives of a session is taken, and nothing is known of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Usage {
    key: Option<Text>,
    agent_id: Option<Text>,
    start_date: Option<Text>,
    end_date: Option<Text>,
    range: Option<days::Range>,
    utc_offset: Option<Text>,
    limit: Option<usize>,
    #[serde(rename = "agentScope")]
    _agent_scope: Option<Text>,
    #[serde(rename = "creatorKey")]
    _creator_key: Option<Text>,
    #[serde(rename = "mode")]
    _mode: Option<Text>,
    #[serde(rename = "groupBy")]
    _group_by: Option<Text>,
    #[serde(rename = "includeHistorical")]
    _include_historical: Option<bool>,
    #[serde(rename = "timeZone")]
    _time_zone: Option<Text>,
    #[serde(rename = "includeContextWeight")]
    _include_context_weight: Option<bool>,
}

/// Which session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Of {
    key: Text,
    agent_id: Option<Text>,
    limit: Option<u32>,
}

/// What was used in a span of days, summed up in every way that clients show.
pub(super) async fn usage(call: &Call, params: Usage) -> Result<Value, Refusal> {
    let gateway = &call.gateway;
    let now_ms = now_ms();
    let wrong = |why: String| Refusal::Invalid(format!("invalid {} params: {why}", call.name()));
    let offset_min = days::offset_min(params.utc_offset.as_deref()).map_err(wrong)?;
    let span = days::span(
        params.start_date.as_deref(),
        params.end_date.as_deref(),
        params.range,
        days::day(now_ms, offset_min),
    );
    let (first, last) = span.map_err(wrong)?;
    let mut asked = UsageRequest {
        from_ms: days::begin_ms(first, offset_min),
        before_ms: days::begin_ms(last + 1, offset_min),
        utc_offset_min: offset_min,
        ..UsageRequest::default()
    };
    match (&params.key, &params.agent_id) {
        (Some(spelled), agent) => {
            let (agent, key) = meant(call, spelled, agent.as_deref())?;
            (asked.agent, asked.session_key) = (agent, key.to_string());
        }
        (None, Some(agent)) => {
            gateway.agents.must_know(call.name(), agent)?;
            asked.agent.clone_from(&agent.0);
        }
        (None, None) => {}
    }
    let told: UsageReply = gateway.bus.ask(subject::USAGE, &asked, PATIENCE).await?;
    let all = sum::by(&told.cells, |cell| {
        (cell.agent.clone(), cell.session_key.clone())
    });
    let mut sessions: Vec<_> = all.into_iter().collect();
    sessions.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.last_at_ms));
    sessions.truncate(params.limit.unwrap_or(SESSIONS.0).clamp(1, SESSIONS.1));
    let sessions: Vec<_> = sessions
        .iter()
        .map(|((agent, key), sum)| shown(call, agent, key, sum))
        .collect();
    let total = told.cells.iter().fold(Sum::default(), Sum::with);
    Ok(json!({
        "updatedAt": now_ms, "startDate": dated(first), "endDate": dated(last), "sessions": sessions,
        "totals": total.totals(), "aggregates": sum::aggregates(&told.cells), "truncated": told.truncated,
    }))
}

fn shown(call: &Call, agent: &str, session_key: &str, sum: &Sum) -> Value {
    let mut entry = json!({
        "key": session::to_client(agent, session_key), "agentId": agent, "updatedAt": sum.last_at_ms,
        "channel": Place::of(session_key).channel, "usage": sum.session(),
        "modelProvider": sum.provider, "model": sum.model,
    });
    if let Some(set) = call.gateway.set_of(agent, session_key)
        && !set.label.is_empty()
    {
        entry["label"] = set.label.as_str().into();
    }
    entry
}

/// How what one session used grew, answer by answer.
pub(super) async fn timeseries(call: &Call, params: Of) -> Result<Value, Refusal> {
    let (lines, session_id) = lines(call, &params).await?;
    let (mut tokens, mut cost) = (0, 0);
    let points: Vec<_> = lines
        .iter()
        .filter(|line| line.role == "assistant")
        .map(|line| {
            tokens += line.input_tokens + line.output_tokens;
            cost += line.cost_micro_usd;
            json!({
                "timestamp": line.at_ms, "input": line.input_tokens, "output": line.output_tokens,
                "cacheRead": 0, "cacheWrite": 0, "totalTokens": line.input_tokens + line.output_tokens,
                "cost": sum::usd(line.cost_micro_usd), "cumulativeTokens": tokens,
                "cumulativeCost": sum::usd(cost),
            })
        })
        .collect();
    Ok(json!({"sessionId": session_id, "points": points}))
}

/// What was said in one session, with what each line used.
pub(super) async fn logs(call: &Call, params: Of) -> Result<Value, Refusal> {
    let (lines, _) = lines(call, &params).await?;
    let logs: Vec<_> = lines
        .iter()
        .filter(|line| matches!(line.role.as_str(), "user" | "assistant"))
        .map(|line| {
            let content: String = line.text.chars().take(LOG_CHARS).collect();
            json!({
                "timestamp": line.at_ms, "role": line.role, "content": content,
                "tokens": line.input_tokens + line.output_tokens, "cost": sum::usd(line.cost_micro_usd),
            })
        })
        .collect();
    Ok(json!({"logs": logs}))
}

async fn lines(call: &Call, params: &Of) -> Result<(Vec<Line>, String), Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let request = HistoryRequest {
        agent,
        session_key: key.to_string(),
        ..HistoryRequest::default()
    };
    let limit = params.limit.unwrap_or(LINES).clamp(1, LINES);
    let told = history::gather(call, request, limit).await?;
    Ok((told.lines, told.session_id))
}
