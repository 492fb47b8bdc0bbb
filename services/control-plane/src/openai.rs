//! The OpenAI-compatible HTTP API: each completion is a turn like any other, in the same sessions and transcripts.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::{gateway::Gateway, scope::Scope};
use access::Caller;
use problem::Problem;
use run::Run;
use wire::Wire;

mod access;
mod ask;
mod chat;
mod content;
mod problem;
mod responses;
mod run;
mod stream;
mod wire;

pub(crate) use run::Places;

/// Largest request, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// One request of the API.
pub(crate) struct Asked<'a> {
    pub(crate) gateway: &'a Arc<Gateway>,
    /// Where streamed answers live.
    pub(crate) tasks: &'a TaskTracker,
    pub(crate) from: IpAddr,
    /// Called once whoever asks has proved who it is.
    pub(crate) proved: &'a (dyn Fn() + Sync),
}

/// Whether a path is the API's.
pub(crate) fn serves(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

impl Asked<'_> {
    /// Answers `request`.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let allowed = access::allowed_origin(self.gateway, self.from, &head.headers);
        let path = head.uri.path();
        let answered = match (&head.method, &allowed) {
            (&Method::OPTIONS, Ok(Some(_))) => Ok(told(StatusCode::NO_CONTENT, None)),
            _ => self.route(&head.method, path, &head.headers, body).await,
        };
        let mut response = answered.unwrap_or_else(|problem| problem.response());
        if let Ok(Some(origin)) = allowed {
            share(response.headers_mut(), origin);
        }
        response
    }

    async fn route(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Response<Body>, Problem> {
        let caller = access::admit(self.gateway, self.from, headers).await?;
        (self.proved)();
        match (method, path) {
            (&Method::GET, "/v1/models") => {
                caller.may(Scope::Read)?;
                let models: Vec<_> = ask::models(self.gateway)
                    .map(|name| self.model(&name))
                    .collect();
                Ok(told(
                    StatusCode::OK,
                    Some(&json!({"object": "list", "data": models})),
                ))
            }
            (&Method::GET, path) if path.starts_with("/v1/models/") => {
                caller.may(Scope::Read)?;
                let name = &path["/v1/models/".len()..];
                let name = name
                    .replace("%2F", "/")
                    .replace("%2f", "/")
                    .replace("%3A", ":");
                ask::agent(self.gateway, &name)?;
                Ok(told(StatusCode::OK, Some(&self.model(&name))))
            }
            (&Method::POST, "/v1/chat/completions") => {
                caller.may(Scope::Write)?;
                let (asked, wire) = chat::read(read(headers, body).await?)?;
                self.run(&caller, headers, asked, Wire::Chat(wire)).await
            }
            (&Method::POST, "/v1/responses") => {
                caller.may(Scope::Write)?;
                let (asked, wire) = responses::read(read(headers, body).await?)?;
                self.run(&caller, headers, asked, Wire::Responses(wire))
                    .await
            }
            (_, "/v1/models" | "/v1/chat/completions" | "/v1/responses") => {
                Err(Problem::method(method, path))
            }
            _ => Err(Problem::path(path)),
        }
    }

    async fn run(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        asked: ask::Asked,
        mut wire: Wire,
    ) -> Result<Response<Body>, Problem> {
        let streamed = asked.stream;
        let meant = ask::meant(self.gateway, caller, headers, asked)?;
        wire.name(&meant);
        let mut run = Run::begin(self.gateway, meant).await?;
        let id = run.turn_id().to_owned();
        let mut response = match streamed {
            true => stream::response(run, wire, self.tasks).await?,
            false => {
                let verdict = run.end().await;
                Problem::of(&verdict)?;
                told(StatusCode::OK, Some(&wire.whole(&verdict)))
            }
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-request-id", id);
        }
        Ok(response)
    }

    fn model(&self, name: &str) -> Value {
        let now_ms = chassis::clock::now_ms();
        let uptime_ms = i64::try_from(self.gateway.uptime_ms()).unwrap_or_default();
        json!({"id": name, "object": "model", "created": (now_ms - uptime_ms) / 1000, "owned_by": "openclaw"})
    }
}

/// The request's body.
async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Incoming) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Asked for also because a page of another site can send any other type without being asked whether it may.
    if !kind.to_ascii_lowercase().starts_with("application/json") {
        return Err(Problem::content_type());
    }
    let bytes = axum::body::to_bytes(Body::new(body), MAX_BODY_BYTES).await;
    let bytes = bytes.map_err(|_| Problem::too_large(MAX_BODY_BYTES))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        Problem::body(&path, &error.into_inner().to_string())
    })
}

fn told(status: StatusCode, body: Option<&Value>) -> Response<Body> {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lets a page that the settings allow read the answer.
fn share(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let fixed: [(HeaderName, &str); 5] = [
        (header::VARY, "Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, idempotency-key, x-openclaw-session-key",
        ),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "x-request-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
