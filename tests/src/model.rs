//! A fake of an OpenAI-compatible model server: both APIs, streaming, and every way in which a model misbehaves.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

mod wire;

/// Requests remembered; older ones are only counted, so that a benchmark may run for long.
const REMEMBERED: usize = 4096;

/// A model server on a port of its own; it ends when this is dropped.
pub struct Model {
    addr: SocketAddr,
    state: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// How the model answers one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What it says; `None` says "you said: X", X being the last message of the person.
    pub text: Option<String>,
    /// Pieces that the text is streamed in.
    pub pieces: usize,
    /// Wait before the first piece.
    pub delay: Duration,
    /// Wait before each further one.
    pub between: Duration,
    /// Whether tokens are counted.
    pub usage: bool,
    /// What goes wrong.
    pub fault: Fault,
}

/// What goes wrong with an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// After so many pieces nothing more comes, and the connection stays open.
    Hang(usize),
    /// After so many pieces the connection is cut.
    Cut(usize),
    /// After so many pieces comes an error message within the stream.
    Error(usize),
    /// Events that are no JSON.
    Garbage,
    /// A page of a proxy, with status 200.
    Html,
    /// The answer comes whole, as JSON.
    Whole,
    /// The whole answer in the pieces, but no sign of its end.
    NoEnd,
    /// An HTTP status other than 200.
    Status(u16),
    /// 429 with `Retry-After` in seconds.
    RateLimited(u64),
}

/// A request as the model got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path, such as `/v1/chat/completions`.
    pub path: String,
    /// The `Authorization` header; empty where there was none.
    pub authorization: String,
    /// The whole body.
    pub body: Value,
}

struct Shared {
    script: Mutex<VecDeque<Answer>>,
    always: Mutex<Answer>,
    requests: Mutex<VecDeque<Request>>,
    asked: AtomicU64,
    models: Mutex<Vec<String>>,
    lists: AtomicU64,
}

impl Default for Answer {
    /// Echoes at once, in three pieces, tokens counted.
    fn default() -> Self {
        Self {
            text: None,
            pieces: 3,
            delay: Duration::ZERO,
            between: Duration::ZERO,
            usage: true,
            fault: Fault::None,
        }
    }
}

impl Answer {
    /// Says `text`.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            ..Self::default()
        }
    }

    /// Goes wrong.
    pub fn fault(fault: Fault) -> Self {
        Self {
            fault,
            ..Self::default()
        }
    }
}

impl Request {
    /// Role and text of each message, the system prompt included, whichever the API.
    pub fn messages(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let system = self.body["instructions"]
            .as_str()
            .map(|text| ("system".to_owned(), text.to_owned()));
        let messages = self.body["messages"]
            .as_array()
            .or_else(|| self.body["input"].as_array());
        let messages = messages.into_iter().flatten();
        system
            .into_iter()
            .chain(messages.map(|message| (text(&message["role"]), text(&message["content"]))))
            .collect()
    }

    /// Text of the last message.
    pub fn last(&self) -> String {
        self.messages()
            .pop()
            .map(|(_, text)| text)
            .unwrap_or_default()
    }

    /// The model that was asked for.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }
}

impl Model {
    /// Starts one that echoes until it is told otherwise.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let state = Arc::new(Shared {
            script: Mutex::default(),
            always: Mutex::default(),
            requests: Mutex::default(),
            asked: AtomicU64::new(0),
            models: Mutex::default(),
            lists: AtomicU64::new(0),
        });
        let app = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/responses", post(responses))
            .route("/v1/models", get(models))
            .with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener
            .local_addr()
            .expect("a bound socket has an address");
        let serving = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("serving never fails");
        });
        Self {
            addr,
            state,
            serving,
        }
    }

    /// Its address for the setting `agent.url`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How it answers from now on, once the script is played.
    pub fn always(&self, answer: Answer) {
        *lock(&self.state.always) = answer;
    }

    /// How it answers the next requests, one each, in order.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state.script).extend(answers);
    }

    /// The models that it says it has.
    pub fn offer(&self, models: &[&str]) {
        *lock(&self.state.models) = models.iter().map(ToString::to_string).collect();
    }

    /// How often it was asked which models it has.
    pub fn lists(&self) -> u64 {
        self.state.lists.load(Ordering::Relaxed)
    }

    /// The requests that it got, oldest first, as far as they are remembered.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).iter().cloned().collect()
    }

    /// Number of requests that it got.
    pub fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn models(State(state): State<Arc<Shared>>) -> Json<Value> {
    state.lists.fetch_add(1, Ordering::Relaxed);
    let models = lock(&state.models);
    let entries: Vec<_> = models
        .iter()
        .map(|id| json!({"id": id, "object": "model"}))
        .collect();
    Json(json!({"object": "list", "data": entries}))
}

async fn chat(state: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(state, wire::Api::Chat, &headers, &body).await
}

async fn responses(state: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(state, wire::Api::Responses, &headers, &body).await
}

async fn answer(
    State(state): State<Arc<Shared>>,
    api: wire::Api,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let authorization = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let request = Request {
        path: format!("/v1/{}", api.path()),
        authorization: authorization.to_owned(),
        body: serde_json::from_slice(body).unwrap_or_default(),
    };
    state.asked.fetch_add(1, Ordering::Relaxed);
    let scripted = lock(&state.script).pop_front();
    let answer = scripted.unwrap_or_else(|| lock(&state.always).clone());
    let text = answer
        .text
        .clone()
        .unwrap_or_else(|| format!("you said: {}", request.last()));
    let asks_usage =
        api == wire::Api::Responses || request.body["stream_options"]["include_usage"] == true;
    {
        let mut requests = lock(&state.requests);
        if requests.len() == REMEMBERED {
            requests.pop_front();
        }
        requests.push_back(request);
    }
    tokio::time::sleep(answer.delay).await;
    wire::respond(api, &answer, &text, asks_usage && answer.usage)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
