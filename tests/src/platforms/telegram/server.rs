//! The HTTP side: routes, tokens, and the failures on order.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State as Shares},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Failure, Shared, TOKEN, form, methods};

/// Largest call that is taken, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let routes = Router::new()
        .route("/{bot}/{method}", any(call))
        .route("/file/{bot}/{*path}", get(file))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(shared);
    axum::serve(listener, routes)
        .await
        .expect("a bound listener serves");
}

async fn call(
    Shares(shared): Shares<Arc<Shared>>,
    Path((bot, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if bot != format!("bot{TOKEN}") {
        return refusal(401, "Unauthorized", Value::Null);
    }
    // Telegram does not mind the case of a method's name.
    let method = method.to_lowercase();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let (params, files) = match kind.split_once("boundary=") {
        Some((_, boundary)) => form::read(boundary.trim_matches('"'), &body),
        None => (
            serde_json::from_slice(&body).unwrap_or_default(),
            Vec::new(),
        ),
    };
    let failure = shared.change(|state| {
        state.called(&method, &params);
        state.failure(&method)
    });
    shared.announce();
    match failure {
        Some(Failure::TooMany(wait)) => refusal(
            429,
            &format!("Too Many Requests: retry after {wait}"),
            json!({"retry_after": wait}),
        ),
        Some(Failure::Status(status)) => {
            let status = StatusCode::from_u16(status).expect("a status that exists");
            (status, "<html>something is wrong</html>").into_response()
        }
        Some(Failure::Refuse(code, words)) => refusal(code, &words, Value::Null),
        Some(Failure::Hang) => std::future::pending().await,
        Some(Failure::Cut) => cut(),
        Some(Failure::LoseAnswer) => {
            methods::answer(&shared, &method, params, files).await;
            cut()
        }
        Some(Failure::Malformed) => {
            methods::answer(&shared, &method, params, files).await;
            "{\"ok\":true,\"result\":{\"mess".into_response()
        }
        None => methods::answer(&shared, &method, params, files).await,
    }
}

async fn file(
    Shares(shared): Shares<Arc<Shared>>,
    Path((bot, path)): Path<(String, String)>,
) -> Response {
    if bot != format!("bot{TOKEN}") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let failure = shared.change(|state| state.failure("file"));
    let bytes = path
        .strip_prefix("files/")
        .and_then(|id| shared.look(|state| state.files.get(id).cloned()));
    match (failure, bytes) {
        (Some(Failure::Hang), _) => std::future::pending().await,
        (Some(Failure::Status(status)), _) => StatusCode::from_u16(status)
            .expect("a status that exists")
            .into_response(),
        (Some(_), _) => cut(),
        (None, Some(bytes)) => bytes.into_response(),
        (None, None) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A refusal in Telegram's words.
pub(super) fn refusal(code: u16, description: &str, parameters: Value) -> Response {
    let mut answer = json!({"ok": false, "error_code": code, "description": description});
    if !parameters.is_null() {
        answer["parameters"] = parameters;
    }
    let status = StatusCode::from_u16(code).expect("a status that exists");
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        answer.to_string(),
    )
        .into_response()
}

/// Cuts the connection: the body breaks off before its first byte.
fn cut() -> Response {
    let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    ([(header::CONTENT_LENGTH, "100")], Body::from_stream(broken)).into_response()
}
