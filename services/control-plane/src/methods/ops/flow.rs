//! How messages flow: queues, connections, and the way of one message.

use proto::v1::{
    AccountChoice, ConnectionsRequest, QueuesRequest, TraceRequest,
    connections_server::Connections as _, journey_server::Journey as _, queues_server::Queues as _,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use tonic::Request;

use super::{super::Call, shown};
use crate::{
    admin::{Connections, Journeys, Queues},
    refusal::Refusal,
    schema::Text,
};

/// An account on a platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    platform: Text,
    /// `main` where it is absent.
    account: Option<String>,
}

/// A message, a conversation or a session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    about: Text,
    limit: Option<u32>,
}

/// How much waits, where, and for how long.
pub(super) async fn queues(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let queues = Queues::new(call.gateway.bus.clone());
    shown(queues.list(Request::new(QueuesRequest {})).await)
}

/// Accounts on platforms, and how they do.
pub(super) async fn connections(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let all = ConnectionsRequest::default();
    shown(accounts(call).list(Request::new(all)).await)
}

/// Drops the connection and opens it anew.
pub(super) async fn reconnect(call: &Call, params: Account) -> Result<Value, Refusal> {
    shown(accounts(call).reconnect(params.choice()).await)
}

/// Gives the account away.
pub(super) async fn drain(call: &Call, params: Account) -> Result<Value, Refusal> {
    shown(accounts(call).drain(params.choice()).await)
}

/// Takes part again.
pub(super) async fn resume(call: &Call, params: Account) -> Result<Value, Refusal> {
    shown(accounts(call).resume(params.choice()).await)
}

/// The ways of messages, step by step.
pub(super) async fn trace(call: &Call, params: About) -> Result<Value, Refusal> {
    let request = TraceRequest {
        about: params.about.0,
        limit: params.limit.unwrap_or_default(),
    };
    let journeys = Journeys::new(call.gateway.bus.clone());
    shown(journeys.trace(Request::new(request)).await)
}

fn accounts(call: &Call) -> Connections {
    Connections::new(call.gateway.bus.clone())
}

impl Account {
    fn choice(self) -> Request<AccountChoice> {
        Request::new(AccountChoice {
            platform: self.platform.0,
            account: self.account.unwrap_or_default(),
        })
    }
}
