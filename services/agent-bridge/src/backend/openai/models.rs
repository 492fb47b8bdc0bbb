//! Which models a provider has: `GET /models`.

use std::time::Duration;

use proto::v1::Model;
use reqwest::{Response, Url};
use serde_json::Value;
use tokio::time::timeout;

use super::{OpenAi, chat, refused, responses};
use crate::failure::{Failure, Problem};

/// How long the provider may take to say it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest list, in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most models of an answer on the bus.
const MOST: usize = 2000;
/// Longest name of a model, in characters.
const MAX_ID_CHARS: usize = 128;
/// Where servers say how many tokens of context a model has: OpenRouter, vLLM, LM Studio, Groq.
const CONTEXT: [&str; 4] = [
    "context_length",
    "max_model_len",
    "max_context_length",
    "context_window",
];

impl OpenAi {
    /// The models that the provider says it has, in its order.
    ///
    /// # Errors
    /// When it refuses, cannot be reached, or answers something else.
    pub(in crate::backend) async fn models(&self) -> Result<Vec<Model>, Failure> {
        let asked = async {
            let sent = self.client.get(models_url(&self.url)).send().await;
            let response = sent.map_err(|error| Failure::network(&error))?;
            if !response.status().is_success() {
                return Err(refused(response).await);
            }
            list(&whole(response).await?)
        };
        timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| Err(Failure::new(Problem::Hung, "no list of models")))
    }
}

/// Where models are listed, from where they are asked.
fn models_url(asked: &Url) -> Url {
    let mut url = asked.clone();
    let path = url.path();
    let base = path
        .strip_suffix(chat::PATH)
        .or_else(|| path.strip_suffix(responses::PATH))
        .unwrap_or(path);
    let path = format!("{base}models");
    url.set_path(&path);
    url
}

async fn whole(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(bytes) = response
        .chunk()
        .await
        .map_err(|error| Failure::network(&error))?
    {
        body.extend_from_slice(&bytes);
        if body.len() > MAX_BYTES {
            return Err(Failure::new(Problem::Garbage, "list of models too long"));
        }
    }
    Ok(body)
}

fn list(body: &[u8]) -> Result<Vec<Model>, Failure> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(entries) = body["data"].as_array().or_else(|| body.as_array()) else {
        return Err(Failure::new(Problem::Garbage, "no list of models"));
    };
    let models = entries.iter().filter_map(|entry| {
        let id = entry["id"].as_str()?.trim();
        let context = CONTEXT.iter().find_map(|key| entry[key].as_u64());
        (!id.is_empty() && id.chars().count() <= MAX_ID_CHARS).then(|| Model {
            id: id.into(),
            context_tokens: context.unwrap_or_default(),
            ..Model::default()
        })
    });
    Ok(models.take(MOST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_beside_where_models_are_asked() {
        for (asked, listed) in [
            (
                "https://api.openai.com/v1/chat/completions",
                "https://api.openai.com/v1/models",
            ),
            ("http://localhost:1/responses", "http://localhost:1/models"),
        ] {
            assert_eq!(models_url(&Url::parse(asked).unwrap()).as_str(), listed);
        }
    }

    #[test]
    fn a_list_is_read_as_servers_write_it_and_what_is_none_is_a_failure() {
        let body = br#"{"object":"list","data":[{"id":"a","context_length":8192},{"id":""},{"name":"b"},{"id":"c"}]}"#;
        let models = list(body).unwrap();
        let ids: Vec<_> = models
            .iter()
            .map(|model| (model.id.as_str(), model.context_tokens))
            .collect();
        assert_eq!(ids, [("a", 8192), ("c", 0)]);
        for body in ["<html>", "{}", r#"{"data":5}"#] {
            assert_eq!(list(body.as_bytes()).unwrap_err().problem, Problem::Garbage);
        }
    }
}
