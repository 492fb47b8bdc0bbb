//! People on platforms who ask to be let in.

use proto::v1::{PairingDecision, PairingListRequest, pairing_server::Pairing};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use tonic::Request;

use super::{super::Call, changed, shown};
use crate::{admin::People, refusal::Refusal, schema::Text};

/// The code that a person was shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    code: Text,
}

/// Who asks, and who was let in.
pub(super) async fn list(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let all = Request::new(PairingListRequest::default());
    shown(Pairing::list(&people(call), all).await)
}

/// Lets a person in for good.
pub(super) async fn approve(call: &Call, decision: Decision) -> Result<Value, Refusal> {
    let entry = shown(Pairing::approve(&people(call), decision.request()).await)?;
    changed(call, "people").await;
    Ok(entry)
}

/// Does not let a person in.
pub(super) async fn reject(call: &Call, decision: Decision) -> Result<Value, Refusal> {
    let entry = shown(Pairing::reject(&people(call), decision.request()).await)?;
    changed(call, "people").await;
    Ok(entry)
}

fn people(call: &Call) -> People {
    People::new(call.gateway.bus.clone())
}

impl Decision {
    fn request(self) -> Request<PairingDecision> {
        Request::new(PairingDecision { code: self.code.0 })
    }
}
