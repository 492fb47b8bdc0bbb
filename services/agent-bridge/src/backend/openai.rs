//! A model behind an OpenAI-compatible API: one request, and its answer piece by piece.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect::Policy,
};
use tokio::time::{Instant, timeout, timeout_at};

use self::{progress::Progress, sse::Parser};
use super::{Piece, Question};
use crate::{
    config::{Api, Config},
    failure::{Failure, Problem},
};

mod chat;
mod models;
mod progress;
mod responses;
mod sse;
mod status;

/// Where OpenAI's own API is.
const OPENAI: &str = "https://api.openai.com/v1";
/// What may still follow the model's last word: the token count.
const AFTER_LAST_WORD: Duration = Duration::from_secs(2);
/// Longest answer that comes in one piece, in bytes.
const MAX_WHOLE_BYTES: usize = 8 * 1024 * 1024;
/// As much of an error's text as is looked at, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A model behind an OpenAI-compatible API.
pub(crate) struct OpenAi {
    client: Client,
    url: Url,
    provider: String,
    api: Api,
    stream_usage: bool,
    first_piece_timeout: Duration,
    idle_timeout: Duration,
}

impl OpenAi {
    /// Makes one; nothing is asked yet.
    ///
    /// # Errors
    /// When the address or the key cannot be used; the message holds neither.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let (url, provider) = endpoint(&config.url, config.api)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("text/event-stream, application/json"),
        );
        let key = config.api_key.expose().trim();
        if !key.is_empty() {
            let mut value = HeaderValue::try_from(format!("Bearer {key}"))
                .ok()
                .context("agent.api_key holds characters that no key has")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .user_agent(concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(config.connect_timeout_s))
            .build()
            .context("HTTP client of the model")?;
        Ok(Self {
            client,
            url,
            provider,
            api: config.api,
            stream_usage: config.stream_usage,
            first_piece_timeout: config.first_piece_timeout(),
            idle_timeout: config.idle_timeout(),
        })
    }

    /// Its name in events: `openai`, or the host of another.
    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// Asks, and returns once the answer begins.
    ///
    /// # Errors
    /// When the provider refuses or cannot be reached.
    pub(super) async fn ask(&self, question: &Question) -> Result<Stream, Failure> {
        let begun = Instant::now();
        let mut response = self.send(question).await?;
        if response.status() == StatusCode::BAD_REQUEST && question.effort.is_some() {
            let without = Question {
                effort: None,
                ..question.clone()
            };
            response = self.send(&without).await?;
        }
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let body = match kind.is_some_and(|kind| kind.contains("json")) {
            true => Body::Whole(Vec::new()),
            false => Body::Unknown,
        };
        Ok(Stream {
            response,
            api: self.api,
            body,
            progress: Progress::default(),
            heard_by: begun + self.first_piece_timeout,
            idle_timeout: self.idle_timeout,
        })
    }

    async fn send(&self, question: &Question) -> Result<Response, Failure> {
        let sent = timeout(self.first_piece_timeout, self.request(question).send()).await;
        sent.map_err(|_| Failure::new(Problem::Hung, "no answer begun"))?
            .map_err(|error| Failure::network(&error))
    }

    fn request(&self, question: &Question) -> RequestBuilder {
        let body = match self.api {
            Api::Chat => chat::request(question, self.stream_usage),
            Api::Responses => responses::request(question),
        };
        self.client.post(self.url.clone()).json(&body)
    }
}

/// An answer on its way.
pub(crate) struct Stream {
    response: Response,
    api: Api,
    body: Body,
    progress: Progress,
    heard_by: Instant,
    idle_timeout: Duration,
}

/// How the answer comes.
enum Body {
    // Told by its first byte: some servers stream under another content type.
    Unknown,
    Events(Parser),
    Whole(Vec<u8>),
}

impl Stream {
    /// The next piece; see [`super::Reply::next`].
    ///
    /// # Errors
    /// When the rest of the answer will not come.
    pub(super) async fn next(&mut self) -> Result<Piece, Failure> {
        loop {
            if let Some(text) = self.progress.texts.pop_front() {
                return Ok(Piece::Text(text));
            }
            if self.progress.done {
                return self.progress.end().map(Piece::End);
            }
            let over = self.progress.stop_reason.is_some();
            match timeout_at(self.heard_by, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    self.take(&bytes)?;
                    let over = self.progress.stop_reason.is_some();
                    self.heard_by = Instant::now()
                        + if over {
                            AFTER_LAST_WORD
                        } else {
                            self.idle_timeout
                        };
                }
                Ok(Ok(None)) => {
                    self.finish()?;
                    if self.progress.texts.is_empty() {
                        return self.progress.end().map(Piece::End);
                    }
                }
                // The answer is whole; only its token count is missing.
                Ok(Err(_)) | Err(_) if over => self.progress.done = true,
                Ok(Err(error)) => return Err(Failure::network(&error)),
                Err(_) => return Err(Failure::new(Problem::Hung, "silent")),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if matches!(self.body, Body::Unknown) {
            match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
                Some(b'{' | b'[') => self.body = Body::Whole(Vec::new()),
                Some(_) => self.body = Body::Events(Parser::default()),
                None => return Ok(()),
            }
        }
        match &mut self.body {
            Body::Events(parser) => {
                let events = parser.feed(bytes);
                for event in events.map_err(|sse::TooLong| self.progress.garbage())? {
                    self.take_event(&event)?;
                }
                Ok(())
            }
            Body::Whole(whole) if whole.len() + bytes.len() > MAX_WHOLE_BYTES => {
                Err(self.progress.garbage())
            }
            Body::Whole(whole) => {
                whole.extend_from_slice(bytes);
                Ok(())
            }
            Body::Unknown => Ok(()),
        }
    }

    /// Takes what the end of the body makes complete.
    fn finish(&mut self) -> Result<(), Failure> {
        match std::mem::replace(&mut self.body, Body::Unknown) {
            Body::Events(mut parser) => match parser.finish() {
                Some(event) => self.take_event(&event),
                None => Ok(()),
            },
            Body::Whole(whole) => {
                let whole = String::from_utf8_lossy(&whole);
                match self.api {
                    Api::Chat => chat::take(&whole, &mut self.progress)?,
                    Api::Responses => responses::take_whole(&whole, &mut self.progress)?,
                }
                self.progress.done = true;
                Ok(())
            }
            Body::Unknown => Ok(()),
        }
    }

    fn take_event(&mut self, data: &str) -> Result<(), Failure> {
        match self.api {
            // What follows the end is of no interest.
            _ if self.progress.done => Ok(()),
            Api::Chat => chat::take(data, &mut self.progress),
            Api::Responses => responses::take(data, &mut self.progress),
        }
    }
}

/// Reads why a request was refused, as far as that is short and comes soon.
async fn refused(mut response: Response) -> Failure {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend_from_slice(&bytes);
            if body.len() > MAX_ERROR_BYTES {
                break;
            }
        }
    };
    // What has come by then is enough.
    let _ = timeout(Duration::from_secs(5), read).await;
    status::of_answer(response.status().as_u16(), response.headers(), &body)
}

/// Where requests go, and the provider's name, from the address in the settings.
fn endpoint(url: &str, api: Api) -> anyhow::Result<(Url, String)> {
    let base = if url.is_empty() { OPENAI } else { url };
    let mut url = Url::parse(base.trim())
        .ok()
        .context("agent.url is no address")?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("agent.url must begin with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        bail!("agent.url holds a user or password; a key belongs in agent.api_key");
    }
    let host = url.host_str().context("agent.url names no host")?;
    let provider = if host == "api.openai.com" {
        "openai"
    } else {
        host
    }
    .to_owned();
    // Many copy the whole address of a request.
    let path = url.path().trim_end_matches('/');
    let path = path
        .strip_suffix(chat::PATH)
        .or_else(|| path.strip_suffix(responses::PATH))
        .unwrap_or(path);
    let end = match api {
        Api::Chat => chat::PATH,
        Api::Responses => responses::PATH,
    };
    let path = format!("{}/{end}", path.trim_end_matches('/'));
    url.set_path(&path);
    Ok((url, provider))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_may_be_written_in_several_ways() {
        for url in [
            "http://localhost:1/v1",
            "http://localhost:1/v1/",
            "http://localhost:1/v1/chat/completions",
        ] {
            let (url, provider) = endpoint(url, Api::Chat).unwrap();
            assert_eq!(url.as_str(), "http://localhost:1/v1/chat/completions");
            assert_eq!(provider, "localhost");
        }
        let (url, provider) = endpoint("", Api::Responses).unwrap();
        assert_eq!(
            (url.as_str(), provider.as_str()),
            ("https://api.openai.com/v1/responses", "openai")
        );
        assert_eq!(
            endpoint("http://[::1]:1", Api::Chat).unwrap().0.as_str(),
            "http://[::1]:1/chat/completions"
        );
    }

    #[test]
    fn an_address_that_is_none_or_holds_a_secret_is_refused_without_naming_it() {
        for url in [
            "canary",
            "ftp://canary/v1",
            "https://user:canary@example.com/v1",
        ] {
            let error = format!("{:#}", endpoint(url, Api::Chat).unwrap_err());
            assert!(
                error.contains("agent.url") && !error.contains("canary"),
                "{error}"
            );
        }
        let config = Config {
            api_key: "can\nary".into(),
            ..Config::default()
        };
        let error = format!("{:#}", OpenAi::new(&config).err().unwrap());
        assert!(
            error.contains("agent.api_key") && !error.contains("ary\""),
            "{error}"
        );
    }
}
