//! Calls of the Bot API over HTTP, with the token kept out of everything that prints.

use std::{fmt, time::Duration};

use adapter::{BoxError, Error, media::MediaStore};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use proto::v1::Attachment;
use reqwest::{
    Body, Client, Response, Url,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio_util::io::ReaderStream;

use crate::{
    Config,
    outbound::Request,
    refusal::{Parameters, Refusal},
};

/// Longest time to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of one answer: a hundred updates of half a megabyte each.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How much longer a call may take that sends files.
const UPLOAD_FACTOR: u32 = 4;

/// The Bot API as one bot sees it.
pub(crate) struct Api {
    http: Client,
    /// Server and token, to which the method is added. A secret.
    methods: String,
    /// Server and token, to which a file's path is added. A secret.
    files: String,
    timeout: Duration,
    media: MediaStore,
}

/// Why a call brought no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Telegram said no.
    Refused(Refusal),
    /// Telegram did not say.
    Silent(Error),
}

/// What every answer looks like. The result is read by who wants it.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

impl Api {
    /// A client of its own for the bot of `config`; stored files come from `media`.
    ///
    /// # Errors
    /// When the platform's certificates cannot be loaded.
    pub(crate) fn new(config: &Config, media: MediaStore) -> Result<Self, reqwest::Error> {
        let mut http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("openclaw-gateway");
        if is_local(&config.api_url) {
            // A proxy of the environment leads out of this machine.
            http = http.no_proxy();
        }
        let http = http.build()?;
        let server = config.api_url.trim_end_matches('/');
        let token = config.token.expose();
        Ok(Self {
            http,
            methods: format!("{server}/bot{token}"),
            files: format!("{server}/file/bot{token}"),
            timeout: config.request_timeout(),
            media,
        })
    }

    /// Does what `request` says and brings the result.
    ///
    /// Where Telegram stumbles over something that can be left out, or the group has a new id, it is asked once more:
    /// a refusal is proof that nothing was done.
    pub(crate) async fn call(&self, mut request: Request) -> Result<Value, Failure> {
        let mut revisions = 0;
        loop {
            let refusal = match self.ask(&request, self.timeout).await {
                Ok(result) => return Ok(serde_json::from_str(result.get()).unwrap_or_default()),
                Err(Failure::Refused(refusal)) => refusal,
                Err(silent) => return Err(silent),
            };
            if refusal.is_success(request.method) {
                return Ok(Value::Bool(true));
            }
            revisions += 1;
            if revisions > 3 || !refusal.revise(&mut request) {
                return Err(Failure::Refused(refusal));
            }
        }
    }

    /// Makes one call and brings its result as it came, within `timeout`.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Box<RawValue>, Failure> {
        let post = self
            .http
            .post(format!("{}/{}", self.methods, request.method));
        let (post, timeout) = match request.files.as_slice() {
            [] => (post.json(&request.params), timeout),
            files => (
                post.multipart(self.form(&request.params, files).await?),
                timeout * UPLOAD_FACTOR,
            ),
        };
        let response = post
            .timeout(timeout)
            .send()
            .await
            .map_err(|error| Failure::Silent(lost(error)))?;
        let status = response.status().as_u16();
        let body = read(response).await.map_err(|error| match status {
            200 => Failure::Silent(Error::Unknown(error)),
            status => Failure::Refused(unexplained(status)),
        })?;
        understand(status, &body)
    }

    /// Starts to fetch a file by the path that getFile gave.
    pub(crate) async fn download(
        &self,
        file_path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, reqwest::Error>> + use<>, String> {
        let response = self
            .http
            .get(format!("{}/{file_path}", self.files))
            .send()
            .await;
        let response = response.map_err(|error| error.without_url().to_string())?;
        match response.status().as_u16() {
            200 => Ok(response.bytes_stream().map_err(reqwest::Error::without_url)),
            status => Err(format!("the file server answered {status}")),
        }
    }

    /// `params` and `files` as a form: what is no text goes as JSON.
    async fn form(&self, params: &Value, files: &[(String, Attachment)]) -> Result<Form, Failure> {
        let mut form = Form::new();
        for (key, value) in params.as_object().into_iter().flatten() {
            form = form.text(
                key.clone(),
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            );
        }
        for (name, file) in files {
            let unreadable = |error: std::io::Error| {
                Failure::Silent(Error::Rejected(format!(
                    "the stored file cannot be read: {error}"
                )))
            };
            let stored = self.media.open(&file.sha256).await.map_err(unreadable)?;
            let length = stored.metadata().await.map_err(unreadable)?.len();
            let part =
                Part::stream_with_length(Body::wrap_stream(ReaderStream::new(stored)), length);
            form = form.part(name.clone(), part.file_name(file_name(file)));
        }
        Ok(form)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Api").finish_non_exhaustive()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Silent(error) => error,
        }
    }
}

/// Whether the server runs on this machine.
fn is_local(server: &str) -> bool {
    let url = Url::parse(server).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// What an error of the transport means: only a connection that never stood proves that nothing was sent.
fn lost(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_connect() {
        Error::Unavailable(error.into())
    } else if error.is_builder() {
        Error::Rejected(error.to_string())
    } else {
        Error::Unknown(error.into())
    }
}

/// The whole body, within bounds.
async fn read(response: Response) -> Result<Vec<u8>, BoxError> {
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(reqwest::Error::without_url)?;
        if body.len() + bytes.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer has more than {MAX_ANSWER_BYTES} bytes").into());
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// Reads an answer. Bytes that are no UTF-8 are replaced, so that one bad text does not hide the others.
fn understand(status: u16, body: &[u8]) -> Result<Box<RawValue>, Failure> {
    let answer = serde_json::from_slice(body)
        .or_else(|_| serde_json::from_str(&String::from_utf8_lossy(body)));
    match answer {
        Ok(Answer {
            ok: true, result, ..
        }) => Ok(result.unwrap_or_else(|| RawValue::NULL.to_owned())),
        Ok(Answer {
            error_code,
            description,
            parameters,
            ..
        }) => {
            let code = if error_code == 0 { status } else { error_code };
            Err(Failure::Refused(Refusal::new(
                code,
                description,
                parameters,
            )))
        }
        // Not the Bot API's words: a proxy's, or an answer that was cut short.
        Err(error) if status == 200 => Err(Failure::Silent(Error::Unknown(error.into()))),
        Err(_) => Err(Failure::Refused(unexplained(status))),
    }
}

fn unexplained(status: u16) -> Refusal {
    Refusal {
        code: status,
        description: "without an explanation".into(),
        ..Refusal::default()
    }
}

/// A name that a person may see, without folders and line breaks.
fn file_name(file: &Attachment) -> String {
    let name = file
        .file_name
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|character| !character.is_control())
        .take(128)
        .collect();
    let extension = file
        .mime
        .rsplit('/')
        .next()
        .filter(|extension| extension.chars().all(char::is_alphanumeric));
    if name.is_empty() {
        format!(
            "file.{}",
            extension.filter(|it| !it.is_empty()).unwrap_or("bin")
        )
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &[u8]) -> Refusal {
        match understand(status, body) {
            Err(Failure::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_is_read_whole() {
        let limited = refused(429, br#"{"ok":false,"error_code":429,"description":"slow","parameters":{"retry_after":14}}"#);
        assert_eq!(limited.retry_after, Some(Duration::from_secs(14)));
        let moved = refused(400, br#"{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-100123456789012}}"#);
        assert_eq!(moved.migrate_to, Some(-100_123_456_789_012));
    }

    #[test]
    fn a_status_without_words_still_counts() {
        assert_eq!(refused(502, b"<html>Bad Gateway</html>").code, 502);
        assert_eq!(refused(401, b"").code, 401);
        assert!(matches!(
            understand(200, b"{\"ok\":tr"),
            Err(Failure::Silent(Error::Unknown(_)))
        ));
    }

    #[test]
    fn a_server_on_this_machine_is_reached_without_a_proxy() {
        assert!(
            is_local("http://127.0.0.1:8081")
                && is_local("http://localhost:8081")
                && is_local("http://[::1]:1")
        );
        assert!(!is_local("https://api.telegram.org") && !is_local("nonsense"));
    }

    #[test]
    fn an_answer_that_is_no_utf8_is_still_read() {
        let answer = understand(200, b"{\"ok\":true,\"result\":\"a\xffb\"}").unwrap();
        assert_eq!(answer.get(), "\"a\u{fffd}b\"");
    }

    #[test]
    fn a_file_name_is_only_a_name() {
        let named = |name: &str, mime: &str| {
            file_name(&Attachment {
                file_name: name.into(),
                mime: mime.into(),
                ..Attachment::default()
            })
        };
        assert_eq!(named("../../etc/pass\nwd", ""), "passwd");
        assert_eq!(named("", "image/png"), "file.png");
        assert_eq!(named("", ""), "file.bin");
    }
}
