//! Waiting for the end of a run, whoever asked for it, on whichever replica, also after it.

use std::time::Duration;

use proto::v1::{Event, OutcomeReply};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    methods::Call,
    refusal::Refusal,
    schema::Text,
    turns::{self, Standing},
    verdict::{End, Verdict},
};

/// How long is waited where a client does not say, in milliseconds.
const USUAL_MS: u64 = 30_000;
/// Longest wait.
const MOST_MS: u64 = 24 * 60 * 60 * 1000;

/// Which run, and how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wait {
    run_id: Text,
    timeout_ms: Option<u64>,
}

/// How the run ended, or that it has not.
pub(super) async fn wait(call: &Call, params: Wait) -> Result<Value, Refusal> {
    let (gateway, run_id) = (&call.gateway, params.run_id.0);
    let protocol = call.client.grant.protocol;
    let turn_id = match meant(call, &run_id).await {
        Meant::Ended(end) => return Ok(ended(&run_id, &Verdict::of(&end), protocol)),
        Meant::Turn(turn_id) => turn_id,
    };
    let mut watching = turns::watch(gateway, &turn_id)?;
    let patience = Duration::from_millis(params.timeout_ms.unwrap_or(USUAL_MS).min(MOST_MS));
    let end = turns::end(gateway, &turn_id, &mut watching, Standing::Running);
    match tokio::time::timeout(patience, end).await {
        Ok(end) => Ok(ended(&run_id, &Verdict::of(&end), protocol)),
        Err(_) => Ok(json!({"runId": run_id, "status": "timeout"})),
    }
}

enum Meant {
    Turn(String),
    Ended(Box<Event>),
}

/// The turn that a client means: by the name that it was asked under, or by its own id, which runs of platforms have.
async fn meant(call: &Call, run_id: &str) -> Meant {
    if let Some((run, ..)) = call.gateway.runs().find(run_id) {
        return Meant::Turn(run.turn_id);
    }
    let asked = turns::turn_id(run_id);
    for turn_id in [&asked, run_id] {
        match turns::outcome(&call.gateway.bus, turn_id).await {
            Ok(OutcomeReply { end: Some(end), .. }) => return Meant::Ended(Box::new(end)),
            Ok(told) if told.known => return Meant::Turn(turn_id.to_owned()),
            _ => {}
        }
    }
    Meant::Turn(asked)
}

fn ended(run_id: &str, verdict: &Verdict, protocol: u8) -> Value {
    // As in the reference: who stops a run is not told that it went well.
    let status = match &verdict.end {
        End::Answered => "ok",
        End::Aborted => "timeout",
        End::Failed { .. } => "error",
    };
    let mut answer = json!({"runId": run_id, "status": status, "endedAt": verdict.ended_at_ms});
    if verdict.started_at_ms > 0 {
        answer["startedAt"] = verdict.started_at_ms.into();
    }
    if !verdict.stop_reason.is_empty() {
        answer["stopReason"] = verdict.stop_reason.as_str().into();
    }
    match &verdict.end {
        End::Failed { message, .. } => answer["error"] = message.as_str().into(),
        _ if protocol >= 4 && !verdict.text.is_empty() => {
            answer["terminalReply"] = json!({"disposition": "visible", "text": verdict.text});
        }
        _ => {}
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_each_protocol_knows_it() {
        let verdict = Verdict {
            text: "hi".into(),
            stop_reason: "stop".into(),
            ended_at_ms: 9,
            ..Verdict::default()
        };
        let old = json!({"runId": "r", "status": "ok", "endedAt": 9, "stopReason": "stop"});
        assert_eq!(ended("r", &verdict, 3), old);
        let reply = ended("r", &verdict, 4)["terminalReply"].clone();
        assert_eq!(reply, json!({"disposition": "visible", "text": "hi"}));
        let failed = Verdict {
            end: End::Failed {
                kind: "timeout".into(),
                message: "too slow".into(),
            },
            ..Verdict::default()
        };
        let failed = ended("r", &failed, 4);
        assert_eq!(
            (&failed["status"], &failed["error"]),
            (&json!("error"), &json!("too slow"))
        );
    }
}
