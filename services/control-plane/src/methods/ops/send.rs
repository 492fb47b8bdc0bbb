//! A message to a conversation on a platform, now or later, and what is still to come.

use proto::v1::{
    Address, ScheduleChoice, SchedulesRequest, SendRequest, messages_server::Messages as _,
    schedules_server::Schedules,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tonic::Request;

use super::{super::Call, changed, shown};
use crate::{admin::Sending, refusal::Refusal, schema::Text};

/// What is sent, where, and when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Message {
    platform: Text,
    /// `main` where it is absent.
    account: Option<Text>,
    conversation: Text,
    thread: Option<String>,
    /// Markdown.
    text: String,
    /// 1 to 100 letters, digits, `-`, `_` or `=`. The same again sends nothing again.
    idempotency_key: Text,
    /// Not before; absent is now.
    at_ms: Option<i64>,
    silent: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    limit: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    id: Text,
}

/// Stores a message to be sent.
pub(super) async fn send(call: &Call, message: Message) -> Result<Value, Refusal> {
    let request = SendRequest {
        to: Some(Address {
            platform: message.platform.0,
            account: message
                .account
                .map_or_else(|| "main".into(), |account| account.0),
            conversation: message.conversation.0,
            thread: message.thread.unwrap_or_default(),
            ..Address::default()
        }),
        text: message.text,
        idempotency_key: message.idempotency_key.0,
        at_ms: message.at_ms.unwrap_or_default(),
        silent: message.silent.unwrap_or_default(),
    };
    let sent = shown(sending(call).send(Request::new(request)).await)?;
    changed(call, "schedules").await;
    Ok(sent)
}

/// What waits for its time, the next first.
pub(super) async fn list(call: &Call, Page { limit }: Page) -> Result<Value, Refusal> {
    let request = Request::new(SchedulesRequest { limit });
    shown(Schedules::list(&sending(call), request).await)
}

/// Takes a message back that is not due yet.
pub(super) async fn cancel(call: &Call, Choice { id }: Choice) -> Result<Value, Refusal> {
    let request = Request::new(ScheduleChoice { id: id.0 });
    Schedules::cancel(&sending(call), request)
        .await
        .map_err(super::refusal)?;
    changed(call, "schedules").await;
    Ok(serde_json::json!({"ok": true}))
}

fn sending(call: &Call) -> Sending {
    Sending::new(call.gateway.bus.clone())
}
