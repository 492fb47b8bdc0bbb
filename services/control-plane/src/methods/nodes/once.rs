//! A node is asked once for an idempotency key: whoever repeats it, on whichever replica, gets the first outcome.

use std::{sync::Arc, time::Duration};

use bus::Bucket;
use proto::v1::{Node, NodeOutcome, Once};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::{super::Call, invalid};
use crate::{
    gateway::Gateway,
    nodes::{Asked, Tried},
    once::{self, Claim},
    refusal::Refusal,
};

/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 256;
/// Outcomes up to this are kept for who asks again.
const MAX_KEPT_BYTES: usize = 256 * 1024;
/// How often who asks again looks whether the first one has an outcome.
const PAUSE: Duration = Duration::from_millis(100);

/// An outcome, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    ok: bool,
    payload: String,
    code: String,
    message: String,
    dispatched: bool,
}

/// Asks the node, unless that was done before under the same key: then how that went.
///
/// # Errors
/// When the key was used for something else, or it cannot be known whether the node was asked.
pub(super) async fn ask(call: &Call, node: &Node, asked: &Asked) -> Result<NodeOutcome, Refusal> {
    let key = asked.idempotency_key.as_str();
    if key.len() > MAX_KEY_BYTES {
        return Err(Refusal::Invalid(format!(
            "invalid node.invoke params: at /idempotencyKey: must NOT have more than {MAX_KEY_BYTES} characters"
        )));
    }
    let deadline = Instant::now() + asked.patience;
    let params = asked.params_json.as_deref().unwrap_or_default();
    let content = once::content([
        node.id.as_bytes(),
        asked.command.as_bytes(),
        params.as_bytes(),
    ]);
    let record = format!(
        "once.{}",
        blake3::hash(format!("node.invoke\0{key}").as_bytes()).to_hex()
    );
    match once::claim(&call.gateway.bus, &record, content).await {
        Ok(Claim::First) => {
            // On its own: who asks may leave, ask again under the same key, and hear how it went.
            let (gateway, node, asked) = (call.gateway.clone(), node.clone(), asked.clone());
            let first =
                tokio::spawn(async move { first(&gateway, &node, asked, &record, content).await });
            let broken = |_| Refusal::Busy("the call of the node broke off; ask again".into());
            first.await.map_err(broken)?
        }
        Ok(Claim::Repeated(before)) => again(call, before, &record, deadline).await,
        Err(Refusal::Conflict) => Err(invalid(
            "idempotencyKey was already used for another call of a node; use a new one",
            json!({"reason": "node-invoke-conflict"}),
        )),
        Err(other) => Err(other),
    }
}

/// Asks, and keeps how it went.
async fn first(
    gateway: &Arc<Gateway>,
    node: &Node,
    asked: Asked,
    record: &str,
    content: once::Content,
) -> Result<NodeOutcome, Refusal> {
    let sends = gateway.bus.bucket(Bucket::Sends);
    let outcome = match gateway.ask_node(node, asked).await {
        Ok(Tried::Ended(outcome)) => outcome,
        Ok(Tried::TimedOut) => timed_out(),
        Ok(Tried::Full) => {
            sends.delete(record).await?;
            let why = "too many calls of nodes are on their way; try again in a moment";
            return Err(Refusal::Busy(why.into()));
        }
        Err(error) => {
            // The node was not asked; that the key is free again is only as sure as the bus.
            let _ = sends.delete(record).await;
            return Err(error.into());
        }
    };
    if !outcome.ok && !outcome.dispatched {
        sends.delete(record).await?;
        return Ok(outcome);
    }
    let kept = Once {
        content: content.to_vec(),
        at_ms: chassis::clock::now_ms(),
        answer_json: keep(&outcome),
    };
    if let Err(error) = sends.put(record, &kept).await {
        // Who asks again waits in vain, and is told that nobody knows: the node is not asked twice.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "outcome of a call of a node is not kept"
        );
    }
    Ok(outcome)
}

/// Waits for the outcome of who asked first.
async fn again(
    call: &Call,
    mut before: Once,
    record: &str,
    deadline: Instant,
) -> Result<NodeOutcome, Refusal> {
    let sends = call.gateway.bus.bucket(Bucket::Sends);
    loop {
        if let Ok(kept) = serde_json::from_str::<Kept>(&before.answer_json) {
            return Ok(NodeOutcome {
                id: String::new(),
                ok: kept.ok,
                payload_json: kept.payload,
                error_code: kept.code,
                error_message: kept.message,
                dispatched: kept.dispatched,
            });
        }
        if Instant::now() + PAUSE >= deadline {
            return Ok(timed_out());
        }
        tokio::time::sleep(PAUSE).await;
        before = match sends.get::<Once>(record).await? {
            Some((now, _)) => now,
            None => {
                let why = "the first call under this idempotencyKey did not reach the node; send it again";
                return Err(Refusal::Busy(why.into()));
            }
        };
    }
}

fn keep(outcome: &NodeOutcome) -> String {
    let large = outcome.payload_json.len() > MAX_KEPT_BYTES;
    let kept = Kept {
        ok: outcome.ok && !large,
        payload: if large {
            String::new()
        } else {
            outcome.payload_json.clone()
        },
        code: if large {
            "RESULT_NOT_KEPT".into()
        } else {
            outcome.error_code.clone()
        },
        message: match large {
            true => "the node did it; the result was too large to keep for who asks again".into(),
            false => outcome.error_message.clone(),
        },
        dispatched: outcome.dispatched,
    };
    serde_json::to_string(&kept).unwrap_or_default()
}

fn timed_out() -> NodeOutcome {
    NodeOutcome {
        error_code: "TIMEOUT".into(),
        error_message: "node invoke timed out".into(),
        dispatched: true,
        ..NodeOutcome::default()
    }
}
