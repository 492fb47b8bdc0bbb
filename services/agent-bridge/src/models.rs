//! Which models can answer, as whoever asks is told: the provider is asked once a minute at most.

use std::time::{Duration, Instant};

use proto::v1::{Model, ModelsReply, ProviderState};
use tokio::sync::Mutex;

use crate::{
    backend::Backend,
    failure::{Failure, Problem},
};

/// How long an answer of the provider is given again.
const FRESH: Duration = Duration::from_secs(60);
/// As long when it did not answer, and even when a fresh one is asked for.
const FRESH_AT_LEAST: Duration = Duration::from_secs(5);

/// The last answer.
#[derive(Default)]
pub(crate) struct Models(Mutex<Option<(Instant, ModelsReply)>>);

impl Models {
    /// The models of `backend`, `usual` first. Whoever asks meanwhile waits for the same answer.
    pub(crate) async fn list(
        &self,
        backend: &Backend,
        usual: &str,
        refresh: bool,
        now: Instant,
    ) -> ModelsReply {
        let mut last = self.0.lock().await;
        if let Some((at, reply)) = &*last {
            let ready = reply.state() == ProviderState::Ready && !refresh;
            let fresh = if ready { FRESH } else { FRESH_AT_LEAST };
            if now.saturating_duration_since(*at) < fresh {
                return reply.clone();
            }
        }
        let reply = reply(backend.provider(), usual, backend.models().await);
        *last = Some((Instant::now(), reply.clone()));
        reply
    }
}

/// The model of the settings alone, without a word to the provider.
pub(crate) fn usual(provider: &str, id: &str) -> ModelsReply {
    let usual = Model {
        id: id.into(),
        usual: true,
        ..Model::default()
    };
    ModelsReply {
        models: vec![usual],
        provider: provider.into(),
        ..ModelsReply::default()
    }
}

/// What is told of what the provider said; the model of the settings is there whatever it said.
fn reply(provider: &str, usual: &str, said: Result<Vec<Model>, Failure>) -> ModelsReply {
    let (listed, state, why) = match said {
        Ok(models) => (models, ProviderState::Ready, String::new()),
        Err(failure) => {
            let state = match failure.problem {
                Problem::Unauthorized => ProviderState::Unauthorized,
                _ => ProviderState::Unavailable,
            };
            (Vec::new(), state, failure.detail)
        }
    };
    let (same, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|model| model.id == usual);
    let first = Model {
        id: usual.into(),
        usual: true,
        ..same.into_iter().next().unwrap_or_default()
    };
    ModelsReply {
        models: std::iter::once(first).chain(others).collect(),
        provider: provider.into(),
        state: state.into(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_the_settings_comes_first_and_is_never_missing() {
        let model = |id: &str| Model {
            id: id.into(),
            context_tokens: 7,
            ..Model::default()
        };
        let ready = reply("p", "b", Ok(vec![model("a"), model("b")]));
        let ids: Vec<_> = ready
            .models
            .iter()
            .map(|model| (model.id.as_str(), model.usual, model.context_tokens))
            .collect();
        assert_eq!(ids, [("b", true, 7), ("a", false, 7)]);
        let refused = reply(
            "p",
            "b",
            Err(Failure::new(Problem::Unauthorized, "bad_key")),
        );
        assert_eq!(
            (refused.models.len(), refused.state(), refused.why.as_str()),
            (1, ProviderState::Unauthorized, "bad_key")
        );
    }

    #[tokio::test]
    async fn the_built_in_agent_is_a_model_too() {
        let models = Models::default();
        let reply = models
            .list(&Backend::Offline, "offline", false, Instant::now())
            .await;
        assert_eq!(reply.models.len(), 1);
        assert_eq!(
            (reply.provider.as_str(), reply.state()),
            ("offline", ProviderState::Ready)
        );
    }
}
