//! What did not arrive: dead letters, and sends of which nobody knows.

use proto::v1::{
    DeadListRequest, DeadSelection, DeadShowRequest, IntentChoice, IntentSettlement,
    UnknownListRequest, dead_letters_server::DeadLetters as _, intents_server::Intents as _,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use tonic::Request;

use super::{super::Call, changed, shown};
use crate::{
    admin::{Dead, Unknown},
    refusal::Refusal,
    schema::Text,
};

/// A page of dead letters, the newest first.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    /// IN, TURN, OUT, LATER; empty means all.
    stream: String,
    /// What the reason holds.
    reason: String,
    /// Only those older than this sequence.
    before: u64,
    limit: u32,
}

/// One dead letter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    sequence: u64,
}

/// Some by their sequences, or all, or those that a filter finds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Selection {
    sequences: Vec<u64>,
    all: bool,
    stream: String,
    reason: String,
    up_to: u64,
}

/// One send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    key: Text,
}

/// What a person has seen on the platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settlement {
    key: Text,
    /// It is there.
    sent: bool,
}

/// Dead letters without what they say.
pub(super) async fn list(call: &Call, page: Page) -> Result<Value, Refusal> {
    let request = DeadListRequest {
        stream: page.stream,
        reason: page.reason,
        before: page.before,
        limit: page.limit,
    };
    shown(dead(call).list(Request::new(request)).await)
}

/// One, with what it says.
pub(super) async fn show(call: &Call, One { sequence }: One) -> Result<Value, Refusal> {
    let request = Request::new(DeadShowRequest { sequence });
    shown(dead(call).show(request).await)
}

/// Puts them back where they were.
pub(super) async fn replay(call: &Call, selection: Selection) -> Result<Value, Refusal> {
    let done = shown(dead(call).replay(selection.request()).await)?;
    changed(call, "dead").await;
    Ok(done)
}

/// Removes them for good.
pub(super) async fn drop(call: &Call, selection: Selection) -> Result<Value, Refusal> {
    let done = shown(dead(call).drop(selection.request()).await)?;
    changed(call, "dead").await;
    Ok(done)
}

/// Sends of which nobody can say whether they arrived.
pub(super) async fn unknown(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let all = UnknownListRequest::default();
    shown(sends(call).list_unknown(Request::new(all)).await)
}

/// Sends it once more, which may repeat it.
pub(super) async fn resend(call: &Call, Send { key }: Send) -> Result<Value, Refusal> {
    let choice = IntentChoice { key: key.0 };
    let send = shown(sends(call).resend(Request::new(choice)).await)?;
    changed(call, "unknown").await;
    Ok(send)
}

/// Writes down what a person has seen; nothing is sent.
pub(super) async fn settle(call: &Call, params: Settlement) -> Result<Value, Refusal> {
    let Settlement { key, sent } = params;
    let settlement = Request::new(IntentSettlement { key: key.0, sent });
    let unknown = sends(call);
    let send = shown(proto::v1::intents_server::Intents::settle(&unknown, settlement).await)?;
    changed(call, "unknown").await;
    Ok(send)
}

fn dead(call: &Call) -> Dead {
    Dead::new(call.gateway.bus.clone())
}

fn sends(call: &Call) -> Unknown {
    Unknown::new(call.gateway.bus.clone())
}

impl Selection {
    fn request(self) -> Request<DeadSelection> {
        Request::new(DeadSelection {
            sequences: self.sequences,
            all: self.all,
            stream: self.stream,
            reason: self.reason,
            up_to: self.up_to,
        })
    }
}
