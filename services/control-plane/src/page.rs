//! The gateway's page, chat and operator views, built into the program.

use std::sync::LazyLock;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const MARKUP: &str = "text/html; charset=utf-8";
const DRAWING: &str = "image/svg+xml";

/// One file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File {
            path: concat!("/", $name),
            kind: $kind,
            bytes: include_bytes!(concat!("../webchat/", $name)),
        }
    };
}

/// All files of the page. `/` is `/index.html`.
const FILES: &[File] = &[
    file!("index.html", MARKUP),
    file!("icon.svg", DRAWING),
    file!("messages.css", STYLE),
    file!("style.css", STYLE),
    file!("views.css", STYLE),
    file!("app.js", SCRIPT),
    file!("composer.js", SCRIPT),
    file!("connection.js", SCRIPT),
    file!("conversation.js", SCRIPT),
    file!("device.js", SCRIPT),
    file!("follow.js", SCRIPT),
    file!("gate.js", SCRIPT),
    file!("keep.js", SCRIPT),
    file!("log.js", SCRIPT),
    file!("markdown.js", SCRIPT),
    file!("parts.js", SCRIPT),
    file!("prose.js", SCRIPT),
    file!("status.js", SCRIPT),
    file!("view.js", SCRIPT),
    file!("view-channels.js", SCRIPT),
    file!("view-dead.js", SCRIPT),
    file!("view-jobs.js", SCRIPT),
    file!("view-later.js", SCRIPT),
    file!("view-log.js", SCRIPT),
    file!("view-pairing.js", SCRIPT),
    file!("view-queues.js", SCRIPT),
    file!("view-sessions.js", SCRIPT),
    file!("view-trace.js", SCRIPT),
    file!("view-unknown.js", SCRIPT),
    file!("views.js", SCRIPT),
];

/// A name for the bytes of each file, in the order of [`FILES`].
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|file| format!("\"{}\"", &blake3::hash(file.bytes).to_hex()[..32]))
        .collect()
});

/// The file at `path`, if there is one; its head alone if the browser has it.
pub(crate) fn serve(path: &str, asked: &HeaderMap) -> Option<Response<Body>> {
    let path = match path {
        "/" => "/index.html",
        "/favicon.ico" | "/favicon.svg" => "/icon.svg",
        path => path,
    };
    let at = FILES.iter().position(|file| file.path == path)?;
    let (file, tag) = (&FILES[at], &TAGS[at]);
    let known = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok());
    let known = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let body = if known {
        Body::empty()
    } else {
        Body::from(Bytes::from_static(file.bytes))
    };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let host = asked
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let policy = policy(host);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, file.kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, tag),
        (header::CONTENT_SECURITY_POLICY, &policy),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    Some(response)
}

/// What the page may do: load what we serve, and connect to us. Browsers differ in whether 'self' includes WebSockets.
fn policy(host: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    let sockets = match !host.is_empty() && host.len() < 256 && host.chars().all(plain) {
        true => format!(" ws://{host} wss://{host}"),
        false => String::new(),
    };
    format!(
        "default-src 'self'; connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_connects_to_nobody_but_us() {
        assert!(policy("box:1").contains("connect-src 'self' ws://box:1 wss://box:1;"));
        assert!(policy("evil; script-src *").contains("connect-src 'self';"));
        assert!(!policy("box").contains("unsafe-inline"));
    }

    #[test]
    fn every_file_that_the_page_names_is_served() {
        let text = |file: &File| String::from_utf8_lossy(file.bytes).into_owned();
        let named = FILES.iter().map(text).collect::<String>();
        for piece in named
            .split(['"', '\''])
            .filter(|piece| !piece.contains(char::is_whitespace))
        {
            let Some(name) = piece.strip_prefix("./").or_else(|| piece.strip_prefix('/')) else {
                continue;
            };
            if [".js", ".css", ".svg"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                assert!(
                    serve(&format!("/{name}"), &HeaderMap::new()).is_some(),
                    "{piece}"
                );
            }
        }
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let first = serve("/", &HeaderMap::new()).unwrap();
        assert_eq!(first.headers()[header::CONTENT_TYPE], MARKUP);
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(
            serve("/", &asked).unwrap().status(),
            StatusCode::NOT_MODIFIED
        );
        assert!(serve("/../Cargo.toml", &asked).is_none());
    }
}
