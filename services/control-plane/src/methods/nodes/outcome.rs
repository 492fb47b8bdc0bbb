//! How a call went, as the node tells it: only the one that was asked, and only once.

use proto::v1::NodeOutcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Call;
use crate::{refusal::Refusal, schema::Text};

/// Largest piece of progress, in bytes.
const MAX_CHUNK_BYTES: usize = 16_384;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Report {
    id: Text,
    node_id: Text,
    ok: bool,
    payload: Option<Value>,
    /// JSON as a text; old nodes send the JSON itself.
    #[serde(rename = "payloadJSON")]
    payload_json: Option<Value>,
    error: Option<Failure>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Failure {
    code: Option<Text>,
    message: Option<Text>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Progress {
    invoke_id: Text,
    node_id: Text,
    seq: u64,
    chunk: String,
}

/// Whether it counted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Taken {
    ok: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignored: bool,
}

/// The node says how a call went. What comes late, twice, or from another connection changes nothing.
pub(super) async fn result(call: &Call, params: Report) -> Result<Taken, Refusal> {
    is_caller(call, &params.node_id)?;
    let error = params.error.unwrap_or_default();
    let text = |text: Option<Text>| text.map(|text| text.0).unwrap_or_default();
    let payload_json = match (params.payload_json, params.payload) {
        (Some(Value::String(json)), _) => json,
        (Some(other), None) => other.to_string(),
        (_, Some(payload)) => payload.to_string(),
        (None, None) => String::new(),
    };
    let outcome = NodeOutcome {
        id: params.id.0,
        ok: params.ok,
        payload_json,
        error_code: text(error.code),
        error_message: text(error.message),
        dispatched: true,
    };
    let counted = call.gateway.call_ended(&call.client, outcome).await?;
    Ok(Taken {
        ok: true,
        ignored: !counted,
    })
}

/// A piece of what a call prints. Nobody waits for pieces; they prove that the node works on it.
pub(super) async fn progress(call: &Call, params: Progress) -> Result<Taken, Refusal> {
    is_caller(call, &params.node_id)?;
    if params.chunk.len() > MAX_CHUNK_BYTES {
        return Err(Refusal::Invalid("progress chunk too large".into()));
    }
    let nodes = &call.gateway.nodes;
    let counted = nodes.progress(&params.invoke_id, &call.client, params.seq);
    Ok(Taken {
        ok: true,
        ignored: !counted,
    })
}

/// A node speaks for itself only.
fn is_caller(call: &Call, node_id: &str) -> Result<(), Refusal> {
    match call.client.grant.device.as_deref() == Some(node_id) {
        true => Ok(()),
        false => Err(Refusal::Invalid("nodeId mismatch".into())),
    }
}
