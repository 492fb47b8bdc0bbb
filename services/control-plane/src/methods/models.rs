//! Which models can answer, as the agent bridge knows from its provider.

use std::time::Duration;

use proto::{
    subject,
    v1::{ModelsReply, ModelsRequest, ProviderState},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::refusal::Refusal;

/// What it serves.
pub(super) const METHODS: &[Method] = &[method!("models.list", Read, list)];

/// How long the agent bridge may take: its provider has 5 s.
const PATIENCE: Duration = Duration::from_secs(7);

/// Which of them. Open: every model that the provider has can answer, so that each view of the reference is all of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct List {
    refresh: Option<bool>,
}

async fn list(call: &Call, asked: List) -> Result<Value, Refusal> {
    let request = ModelsRequest {
        refresh: asked.refresh == Some(true),
        usual_only: false,
    };
    let bus = &call.gateway.bus;
    let reply = bus.ask(subject::MODELS, &request, PATIENCE).await;
    let reply: ModelsReply = reply.map_err(|error| match error {
        bus::Error::Unavailable(_) => Refusal::Busy(
            "the agent bridge does not say which models there are; is it running? See `openclaw doctor`".into(),
        ),
        error => error.into(),
    })?;
    Ok(told(&reply, call.client.grant.protocol))
}

fn told(reply: &ModelsReply, protocol: u8) -> Value {
    let models: Vec<_> = reply
        .models
        .iter()
        .map(|model| {
            let mut told = json!({"id": model.id, "name": model.id, "provider": reply.provider});
            if model.context_tokens > 0 {
                told["contextWindow"] = model.context_tokens.into();
            }
            // Protocol 3 knew no more than that.
            if protocol >= 4 {
                if model.usual {
                    told["tags"] = json!(["default"]);
                }
                told["available"] = (reply.state() == ProviderState::Ready).into();
                if reply.state() == ProviderState::Unauthorized {
                    told["unavailableReason"] = "auth-failed".into();
                }
            }
            told
        })
        .collect();
    if protocol < 4 {
        return json!({"models": models});
    }
    let status = match reply.state() {
        ProviderState::Unauthorized => "auth-rejected",
        ProviderState::Ready => "ready",
        _ => "unavailable",
    };
    json!({"models": models, "providerOutcomes": [{"provider": reply.provider, "status": status}]})
}

#[cfg(test)]
mod tests {
    use proto::v1::Model;

    use super::*;

    #[test]
    fn a_model_whose_provider_refuses_the_key_is_shown_as_not_available() {
        let mut reply = ModelsReply {
            models: vec![Model {
                id: "m".into(),
                usual: true,
                context_tokens: 9,
            }],
            provider: "p".into(),
            ..ModelsReply::default()
        };
        reply.set_state(ProviderState::Unauthorized);
        let new = told(&reply, 4);
        assert_eq!(
            new["models"][0],
            json!({"id": "m", "name": "m", "provider": "p", "contextWindow": 9, "tags": ["default"],
                   "available": false, "unavailableReason": "auth-failed"})
        );
        assert_eq!(new["providerOutcomes"][0]["status"], "auth-rejected");
        assert_eq!(
            told(&reply, 3),
            json!({"models": [{"id": "m", "name": "m", "provider": "p", "contextWindow": 9}]})
        );
    }
}
