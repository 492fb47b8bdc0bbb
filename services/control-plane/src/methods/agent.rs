//! Running an agent to its end: one request, two answers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::{
    refusal::Refusal,
    schema::Text,
    turns::{self, Ask, Standing},
    verdict::{End, Verdict},
};

mod delivery;
mod meaning;
mod wait;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("agent", Write, run),
    method!("agent.wait", Write, wait::wait),
];

/// Longest time that a client may give a run, in seconds.
const MOST_SECONDS: u64 = 24 * 60 * 60;

/// What is asked, in which session, and where the answer goes. Open: what the reference has besides changes how its
/// own agent works.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Agent {
    message: Text,
    idempotency_key: Text,
    agent_id: Option<Text>,
    session_key: Option<String>,
    session_id: Option<String>,
    to: Option<String>,
    reply_to: Option<String>,
    channel: Option<String>,
    reply_channel: Option<String>,
    account_id: Option<String>,
    reply_account_id: Option<String>,
    thread_id: Option<String>,
    deliver: Option<bool>,
    best_effort_deliver: Option<bool>,
    /// Seconds; 0 as the settings say.
    timeout: Option<u64>,
    thinking: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    extra_system_prompt: Option<String>,
    #[serde(default)]
    attachments: Option<Vec<Value>>,
}

/// Asks, answers at once that it is asked, and in the end what came of it.
async fn run(call: &Call, params: Agent) -> Result<Value, Refusal> {
    let ask = meaning::ask(call, params).await?;
    let (turn_id, gateway) = (ask.turn_id(), &call.gateway);
    let mut watching = turns::watch(gateway, &turn_id)?;
    let in_turn = call.client.sending.lock().await;
    let standing = turns::begin(gateway, &ask).await?;
    drop(in_turn);
    call.answer_first(&accepted(call, &ask, standing))?;
    let end = turns::end(gateway, &turn_id, &mut watching, standing).await;
    finished(&ask.run_id, &Verdict::of(&end))
}

/// The first answer. Clients that wait for a second one know it by the status `accepted`.
fn accepted(call: &Call, ask: &Ask, standing: Standing) -> Value {
    let now_ms = chassis::clock::now_ms();
    let mut answer = json!({"runId": ask.run_id, "status": "accepted", "acceptedAt": now_ms});
    if call.client.grant.protocol >= 4 {
        answer["sessionKey"] = proto::session::to_client(&ask.agent, &ask.session_key).into();
        answer["agentId"] = ask.agent.as_str().into();
        if standing != Standing::New {
            answer["status"] = "in_flight".into();
        }
    }
    answer
}

/// The last answer.
fn finished(run_id: &str, verdict: &Verdict) -> Result<Value, Refusal> {
    let summary = match &verdict.end {
        End::Answered => "completed",
        End::Aborted => "aborted",
        End::Failed { message, .. } => return Err(Refusal::Failed(message.clone())),
    };
    let payloads = match verdict.text.as_str() {
        "" => json!([]),
        text => json!([{"text": text, "mediaUrl": null}]),
    };
    let (input, output) = (verdict.input_tokens, verdict.output_tokens);
    let took_ms = match verdict.started_at_ms {
        0 => 0,
        started_at_ms => verdict.ended_at_ms.saturating_sub(started_at_ms).max(0),
    };
    Ok(json!({
        "runId": run_id, "status": "ok", "summary": summary,
        "result": {
            "payloads": payloads,
            "meta": {
                "durationMs": took_ms, "aborted": verdict.end == End::Aborted, "stopReason": verdict.stop_reason,
                "agentMeta": {
                    "provider": verdict.provider, "model": verdict.model,
                    "usage": {"input": input, "output": output, "cacheRead": 0, "cacheWrite": 0, "total": input + output},
                },
            },
        },
    }))
}

/// How long a run may take that a client gives `seconds`.
fn allowed(seconds: Option<u64>) -> Option<Duration> {
    match seconds {
        None | Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds.min(MOST_SECONDS))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_says_what_came_of_it() {
        let verdict = Verdict {
            text: "hi".into(),
            started_at_ms: 5,
            ended_at_ms: 9,
            input_tokens: 1,
            output_tokens: 2,
            ..Verdict::default()
        };
        let answer = finished("r", &verdict).unwrap();
        assert_eq!(
            answer["result"]["payloads"],
            json!([{"text": "hi", "mediaUrl": null}])
        );
        let meta = &answer["result"]["meta"];
        assert_eq!(
            (&meta["durationMs"], &meta["agentMeta"]["usage"]["total"]),
            (&json!(4), &json!(3))
        );
        let stopped = Verdict {
            end: End::Aborted,
            ..Verdict::default()
        };
        assert_eq!(finished("r", &stopped).unwrap()["summary"], "aborted");
        let failed = Verdict {
            end: End::Failed {
                kind: "timeout".into(),
                message: "too slow".into(),
            },
            ..verdict
        };
        assert_eq!(
            finished("r", &failed),
            Err(Refusal::Failed("too slow".into()))
        );
    }

    #[test]
    fn a_run_has_the_time_that_its_client_gives_within_a_day() {
        assert_eq!((allowed(None), allowed(Some(0))), (None, None));
        assert_eq!(allowed(Some(600)), Some(Duration::from_secs(600)));
        assert_eq!(
            allowed(Some(u64::MAX)),
            Some(Duration::from_secs(MOST_SECONDS))
        );
    }
}
