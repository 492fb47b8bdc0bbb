//! What the canvas host answers: files behind a capability, fenced off from everything else.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
    },
};
use bytes::Bytes;
use chassis::clock::now_ms;
use hyper::body::Incoming;

use super::{
    Canvas,
    capability::PATH,
    folder::Found,
    kind::{is_page, of},
};
use crate::gateway::Gateway;

/// Where, behind the capability, agents' files are.
const FILES: &str = "/__openclaw__/canvas/";
/// Where A2UI is shown.
const A2UI: &str = "/__openclaw__/a2ui/";
/// Where pages hear that something changed, and the script with which they do.
const LIVE: &str = "/__openclaw__/live";
const LIVE_SCRIPT: &str = "/__openclaw__/live.js";

/// What an agent's page may do: run what is in it, and reach this host alone. The gateway is on another port, so it is
/// another origin.
const PAGE_POLICY: &str = "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self'; object-src 'none'; \
                           base-uri 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'";
/// What our own pages may do.
const OWN_POLICY: &str = "default-src 'self'; img-src 'self' data: https:; object-src 'none'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";

/// Our own files on the canvas.
const OWN: &[(&str, &str, &[u8])] = &[
    (
        "index.html",
        "text/html; charset=utf-8",
        include_bytes!("../../canvas/a2ui.html"),
    ),
    (
        "a2ui.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../canvas/a2ui.js"),
    ),
    (
        "a2ui.css",
        "text/css; charset=utf-8",
        include_bytes!("../../canvas/a2ui.css"),
    ),
];
const WELCOME: &[u8] = include_bytes!("../../canvas/welcome.html");
const SCRIPT: &[u8] = include_bytes!("../../canvas/live.js");

/// Answers a request.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = match &gateway.canvas {
        Some(canvas) => choose(gateway, canvas, &request).await,
        None => said(StatusCode::NOT_FOUND, "There is no canvas here."),
    };
    if request.method() == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let fences = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), microphone=(), geolocation=(), display-capture=()",
        ),
    ];
    for (name, value) in fences {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn choose(gateway: &Gateway, canvas: &Canvas, request: &Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return said(StatusCode::METHOD_NOT_ALLOWED, "Only GET is served here.");
    }
    if !is_own(gateway, request.headers()) {
        return said(
            StatusCode::FORBIDDEN,
            "Pages of other origins have no business here.",
        );
    }
    let path = request.uri().path();
    let opened = path
        .strip_prefix(PATH)
        .and_then(|rest| rest.split_once('/'));
    let Some((capability, rest)) = opened else {
        return said(
            StatusCode::NOT_FOUND,
            "There is nothing here without a link from the gateway.",
        );
    };
    if !canvas.key.is_good(capability, now_ms()) {
        return said(
            StatusCode::FORBIDDEN,
            "This link has expired. Ask the gateway for a new one.",
        );
    }
    let root = format!("{PATH}{capability}");
    match format!("/{rest}").as_str() {
        LIVE => live(canvas),
        LIVE_SCRIPT => file(SCRIPT.into(), "text/javascript; charset=utf-8", OWN_POLICY),
        path => {
            if let Some(name) = path.strip_prefix(FILES) {
                return files(canvas, request.uri(), &root, name).await;
            }
            match path.strip_prefix(A2UI) {
                Some(name) => own(name),
                None => moved_or_nothing(path, &root),
            }
        }
    }
}

/// Not a page of another origin, and not under a name that is not ours: DNS rebinding.
fn is_own(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default().to_ascii_lowercase();
    let public = gateway
        .config
        .canvas_url
        .trim_end_matches('/')
        .to_ascii_lowercase();
    let public = public.split_once("://").map_or("", |(_, rest)| rest);
    if host != public && !gateway.rules.knows(&host) {
        return false;
    }
    let origin = text(header::ORIGIN).map(str::to_ascii_lowercase);
    let same = origin.is_none_or(|origin| {
        ["http", "https"]
            .iter()
            .any(|scheme| origin == format!("{scheme}://{host}"))
    });
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
    let foreign = matches!(site, Some(b"cross-site" | b"same-site"));
    same && (!foreign || mode == Some(b"navigate"))
}

async fn files(canvas: &Canvas, uri: &Uri, root: &str, name: &str) -> Response<Body> {
    match canvas.folder.find(name).await {
        Found::File(bytes, name) => {
            let kind = of(&name);
            let bytes = match is_page(kind) {
                true => with_script(bytes, root),
                false => bytes,
            };
            file(bytes, kind, PAGE_POLICY)
        }
        Found::Folder => moved(&format!("{}/", uri.path())),
        Found::TooLarge => said(
            StatusCode::PAYLOAD_TOO_LARGE,
            "This file is too large for the canvas.",
        ),
        Found::Nothing if name.is_empty() => {
            let page = with_script(WELCOME.into(), root);
            file(page, "text/html; charset=utf-8", PAGE_POLICY)
        }
        Found::Nothing => said(
            StatusCode::NOT_FOUND,
            "There is no such file on the canvas.",
        ),
    }
}

fn own(name: &str) -> Response<Body> {
    let name = if name.is_empty() { "index.html" } else { name };
    let found = OWN.iter().find(|(known, _, _)| *known == name);
    match found {
        Some((_, kind, bytes)) => file((*bytes).into(), kind, OWN_POLICY),
        None => said(StatusCode::NOT_FOUND, "There is nothing here."),
    }
}

fn moved_or_nothing(path: &str, root: &str) -> Response<Body> {
    match path {
        "/" => moved(&format!("{root}{FILES}")),
        path if FILES.strip_suffix('/') == Some(path) => moved(&format!("{root}{FILES}")),
        path if A2UI.strip_suffix('/') == Some(path) => moved(&format!("{root}{A2UI}")),
        _ => said(StatusCode::NOT_FOUND, "There is nothing here."),
    }
}

fn live(canvas: &Canvas) -> Response<Body> {
    match canvas.reload.listen() {
        Some(body) => {
            let mut response = Response::new(body);
            let kind = HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        None => said(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many pages listen for changes.",
        ),
    }
}

/// A page with the script that shows it anew when something changes.
fn with_script(mut page: Vec<u8>, root: &str) -> Vec<u8> {
    let script = format!("\n<script src=\"{root}{LIVE_SCRIPT}\"></script>\n");
    let end = b"</body>";
    let at = page
        .windows(end.len())
        .rposition(|window| window.eq_ignore_ascii_case(end))
        .unwrap_or(page.len());
    page.splice(at..at, script.into_bytes());
    page
}

fn file(bytes: Vec<u8>, kind: &str, policy: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(bytes)));
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    // On everything: a drawing opened by itself runs scripts too.
    let policy = HeaderValue::from_static(policy);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn moved(to: &str) -> Response<Body> {
    let mut response = said(StatusCode::PERMANENT_REDIRECT, "");
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn said(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let mut response = file(sentence.into(), "text/plain; charset=utf-8", OWN_POLICY);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stands_at_the_end_of_a_page_whatever_the_page_is() {
        let page = |text: &str| String::from_utf8(with_script(text.into(), "/r")).unwrap();
        let script = "\n<script src=\"/r/__openclaw__/live.js\"></script>\n";
        assert_eq!(page("<BODY>a</BODY>"), format!("<BODY>a{script}</BODY>"));
        assert_eq!(page("just text"), format!("just text{script}"));
    }

    #[test]
    fn an_agents_page_reaches_this_host_alone() {
        assert!(PAGE_POLICY.contains("connect-src 'self';"));
        assert!(PAGE_POLICY.contains("frame-ancestors 'none'"));
        assert!(!OWN_POLICY.contains("unsafe"));
    }
}
