//! Which model answers where nobody chose one, as the agent bridge told last.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use proto::{
    subject,
    v1::{ModelsReply, ModelsRequest},
};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// How often the bridge is asked once it has answered; it reads its settings, not the provider.
const EVERY: Duration = Duration::from_secs(60);
/// Pause before it is asked again while it does not answer.
const BREATH: Duration = Duration::from_secs(1);
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The model that answers where nobody chose one.
#[derive(Debug, Default)]
pub(crate) struct Usual(RwLock<Option<Arc<Model>>>);

/// A model and who provides it.
#[derive(Debug, PartialEq)]
pub(crate) struct Model {
    provider: String,
    id: String,
}

impl Usual {
    /// The model; nothing as long as the agent bridge has not told.
    pub(crate) fn model(&self) -> Option<Arc<Model>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is chosen where a session chose nothing, as lists of sessions begin.
    pub(crate) fn defaults(&self) -> Value {
        let model = self.model();
        json!({
            "modelProvider": model.as_ref().map(|model| &model.provider),
            "model": model.as_ref().map(|model| &model.id), "contextTokens": null,
        })
    }

    fn learn(&self, reply: ModelsReply) {
        let model = reply.models.into_iter().find(|model| model.usual);
        let Some(model) = model.filter(|model| !model.id.is_empty()) else {
            return;
        };
        let model = Model::new(&reply.provider, &model.id);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(model));
    }
}

impl Model {
    /// The model `id` of `provider`.
    pub(crate) fn new(provider: &str, id: &str) -> Self {
        let (provider, id) = (provider.to_owned(), id.to_owned());
        Self { provider, id }
    }

    /// As clients name a model of a provider.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.provider, self.id)
    }
}

/// Keeps knowing it until the gateway stops.
pub(crate) async fn keep(gateway: &Gateway) {
    let request = ModelsRequest {
        usual_only: true,
        ..ModelsRequest::default()
    };
    let work = async {
        loop {
            let reply = gateway.bus.ask(subject::MODELS, &request, PATIENCE).await;
            let pause = match reply {
                Ok(reply) => {
                    gateway.usual.learn(reply);
                    EVERY
                }
                Err(_) => BREATH,
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = gateway.stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1;

    #[test]
    fn the_usual_model_is_known_once_the_bridge_has_told_and_stays_so() {
        let usual = Usual::default();
        assert_eq!(usual.model(), None);
        assert_eq!(usual.defaults()["model"], Value::Null);
        let model = v1::Model {
            id: "m".into(),
            usual: true,
            ..v1::Model::default()
        };
        usual.learn(ModelsReply {
            models: vec![v1::Model::default(), model],
            provider: "p".into(),
            ..ModelsReply::default()
        });
        usual.learn(ModelsReply::default());
        assert_eq!(usual.model().unwrap().name(), "p/m");
        assert_eq!(usual.defaults()["modelProvider"], "p");
    }
}
