//! Where an answer is sent besides being told: to the platform that a client names, or where its session is.

use std::time::Duration;

use proto::{
    subject,
    v1::{Address, ConversationKind, TraceReply, TraceRequest},
};

use super::Agent;
use crate::{admin, methods::Call, refusal::Refusal};

/// How long the ledger may take to say where a session is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The address of the answer; `None` where the client does not want it sent.
pub(super) async fn to(
    call: &Call,
    params: &Agent,
    session_key: &str,
) -> Result<Option<Address>, Refusal> {
    if params.deliver != Some(true) {
        return Ok(None);
    }
    match find(call, params, session_key).await {
        Ok(address) => Ok(Some(address)),
        Err(Refusal::Invalid(_) | Refusal::NotFound(_))
            if params.best_effort_deliver == Some(true) =>
        {
            Ok(None)
        }
        Err(refusal) => Err(refusal),
    }
}

async fn find(call: &Call, params: &Agent, session_key: &str) -> Result<Address, Refusal> {
    let first = |texts: [&Option<String>; 2]| {
        let mut texts = texts.into_iter().filter_map(|text| text.as_deref());
        texts.find(|text| !text.is_empty()).map(ToOwned::to_owned)
    };
    let channel = first([&params.reply_channel, &params.channel]);
    let channel = channel.filter(|channel| channel != "last");
    let conversation = first([&params.reply_to, &params.to]);
    let (Some(platform), Some(conversation)) = (channel.clone(), conversation) else {
        let address = last(call, session_key).await?;
        return match channel {
            Some(channel) if channel != address.platform => Err(Refusal::Invalid(format!(
                "invalid agent params: say to whom on {channel} the answer goes: to"
            ))),
            _ => Ok(address),
        };
    };
    let account = first([&params.reply_account_id, &params.account_id]);
    let account = account.unwrap_or_else(|| "main".into());
    admin::known(&call.gateway.bus, &platform, &account)
        .await
        .map_err(|status| Refusal::Invalid(status.message().to_owned()))?;
    Ok(Address {
        platform,
        account,
        conversation,
        thread: params.thread_id.clone().unwrap_or_default(),
        kind: ConversationKind::Direct.into(),
        ..Address::default()
    })
}

/// Where somebody wrote last in the session.
async fn last(call: &Call, session_key: &str) -> Result<Address, Refusal> {
    let question = TraceRequest {
        about: session_key.to_owned(),
        limit: 20,
    };
    let told: TraceReply = call
        .gateway
        .bus
        .ask(subject::JOURNEY, &question, PATIENCE)
        .await?;
    let mut from = told.walks.into_iter().rev().filter_map(|walk| walk.from);
    from.find(|address| address.platform != "webchat")
        .ok_or_else(|| {
            Refusal::Invalid(
                "invalid agent params: nobody has written in this session from a platform; say where the answer \
                 goes: channel and to"
                    .into(),
            )
        })
}
