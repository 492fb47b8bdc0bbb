//! What is served besides WebSockets: the page, and whether the gateway lives.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::task::TaskTracker;

use crate::{gateway::Gateway, listen, meter, openai, page, peer};

/// Answers a request; `proved` is called where it comes from somebody who may stay. One that asks for a WebSocket
/// gets it on any path.
pub(crate) async fn answer(
    gateway: &Arc<Gateway>,
    sockets: &TaskTracker,
    from: IpAddr,
    proved: &(dyn Fn() + Sync),
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = match wants_websocket(request.headers()) {
        true => upgrade(gateway, sockets, from, &mut request),
        false if openai::serves(request.uri().path()) => {
            let asked = openai::Asked {
                gateway,
                tasks: sockets,
                from,
                proved,
            };
            asked.answer(request).await
        }
        false => plain(gateway, &request),
    };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn plain(gateway: &Gateway, request: &Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "Only GET is served here.");
    }
    match request.uri().path() {
        "/health" | "/healthz" => told(StatusCode::OK, &json!({"ok": true, "status": "live"})),
        "/ready" | "/readyz" if gateway.bus.connected() => {
            told(StatusCode::OK, &json!({"ready": true}))
        }
        "/ready" | "/readyz" => {
            let why = json!({"ready": false, "why": "the message bus is away"});
            told(StatusCode::SERVICE_UNAVAILABLE, &why)
        }
        path => page::serve(path, request.headers())
            .unwrap_or_else(|| problem(StatusCode::NOT_FOUND, "There is nothing here.")),
    }
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    let has = |name, wanted: &str| {
        let lines = headers
            .get_all(name)
            .iter()
            .filter_map(|line: &HeaderValue| line.to_str().ok());
        let mut words = lines.flat_map(|line| line.split(',')).map(str::trim);
        words.any(|word| word.eq_ignore_ascii_case(wanted))
    };
    has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade")
}

fn upgrade(
    gateway: &Arc<Gateway>,
    sockets: &TaskTracker,
    from: IpAddr,
    request: &mut Request<Incoming>,
) -> Response<Body> {
    let headers = request.headers();
    let version = headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .map(HeaderValue::as_bytes);
    let (Some(b"13"), Some(key), &Method::GET) = (
        version,
        headers.get(header::SEC_WEBSOCKET_KEY),
        request.method(),
    ) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "This is no WebSocket request of version 13.",
        );
    };
    let accept = derive_accept_key(key.as_bytes());
    let peer = match gateway.rules.judge(from, headers) {
        Ok(peer) => peer,
        Err(turned) => {
            meter::refused("turned");
            return problem(StatusCode::FORBIDDEN, &turned.to_string());
        }
    };
    let Some(place) = listen::place(gateway, &peer) else {
        meter::refused("full");
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many connections from this address have not proved who they are. Try again in a moment.",
        );
    };
    let host = peer::name_of(request.headers());
    let upgrade = hyper::upgrade::on(request);
    let life = listen::websocket(gateway.clone(), upgrade, peer, host, place);
    sockets.spawn(life);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// An answer that says in a sentence what is wrong.
fn problem(status: StatusCode, message: &str) -> Response<Body> {
    told(status, &json!({"error": {"message": message}}))
}

fn told(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_is_asked_for_by_two_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(!wants_websocket(&headers));
        headers.insert(
            header::CONNECTION,
            HeaderValue::from_static("keep-alive, Upgrade"),
        );
        assert!(wants_websocket(&headers));
    }
}
