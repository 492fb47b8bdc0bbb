//! The server that Telegram calls: checks the secret, stores the update, and only then says 200.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use adapter::Inbox;
use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    api::Api,
    files::{self, Limits},
    inbound::{Identity, from_update},
    lanes::{self, Turns},
};

/// Header in which Telegram says the secret.
const SECRET: &str = "x-telegram-bot-api-secret-token";
/// Largest call that is read, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Most connections at once; Telegram itself makes at most 100.
const MAX_CONNECTIONS: usize = 256;
/// Seconds after which Telegram is asked to come again when the bus is away.
const COME_AGAIN_S: &str = "5";

/// What it takes to answer a call.
pub(crate) struct Door {
    pub(crate) api: Arc<Api>,
    pub(crate) inbox: Inbox,
    pub(crate) account: String,
    pub(crate) identity: Identity,
    /// What the caller must say. Not empty.
    pub(crate) secret: String,
    pub(crate) limits: Limits,
    /// Within what headers, and then the body, must have come.
    pub(crate) read_timeout: Duration,
    /// How long the bus is waited for.
    pub(crate) patience: Duration,
    /// Calls answered with 200 so far.
    pub(crate) delivered: Arc<AtomicU64>,
    pub(crate) turns: Turns,
}

impl Door {
    /// Answers calls on `listener` for ever; dropped, it closes all connections.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) -> Infallible {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = places.clone().acquire_owned().await else {
                continue;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let door = Arc::clone(&self);
                    connections.spawn(async move {
                        door.talk(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of files, most likely: it passes when connections end.
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "webhook connection not taken"
                    );
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn talk(self: Arc<Self>, stream: TcpStream) {
        let read_timeout = self.read_timeout;
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let door = Arc::clone(&self);
            async move { Ok::<_, Infallible>(door.answer(request.map(Body::new)).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(read_timeout)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            debug!(
                error = &error as &dyn std::error::Error,
                "webhook connection ended"
            );
        }
    }

    /// Answers one call. Who does not know the secret learns nothing, and nothing of theirs is read.
    async fn answer(&self, request: Request<Body>) -> Response {
        if !self.knows_secret(request.headers()) {
            metrics::counter!("openclaw_telegram_webhook_refused_total").increment(1);
            return StatusCode::UNAUTHORIZED.into_response();
        }
        if request.method() != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        let body = match timeout(self.read_timeout, read(request)).await {
            Ok(Ok(body)) => body,
            Ok(Err(refused)) => return refused.into_response(),
            Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
        };
        match self.store(&body).await {
            true => StatusCode::OK.into_response(),
            false => (
                StatusCode::SERVICE_UNAVAILABLE,
                [(header::RETRY_AFTER, COME_AGAIN_S)],
            )
                .into_response(),
        }
    }

    /// Whether the caller says the secret, once.
    fn knows_secret(&self, headers: &HeaderMap) -> bool {
        let mut said = headers.get_all(SECRET).iter();
        match (said.next(), said.next()) {
            (Some(said), None) => said.as_bytes().ct_eq(self.secret.as_bytes()).into(),
            _ => false,
        }
    }

    /// Whether the update is on the bus. What cannot be read is stored as unknown, since Telegram would only send it
    /// again as it is.
    async fn store(&self, body: &[u8]) -> bool {
        let mut update = from_update(body, &self.account, &self.identity);
        let conversation = lanes::conversation(&update).to_owned();
        let work = async {
            let _turn = self.turns.take(&conversation).await;
            files::fetch(&self.api, self.inbox.media(), self.limits, &mut update).await;
            timeout(self.patience, self.inbox.accept(update)).await
        };
        let stored = matches!(
            timeout(self.patience + self.limits.patience, work).await,
            Ok(Ok(Ok(())))
        );
        if stored {
            self.delivered.fetch_add(1, Ordering::Relaxed);
            self.inbox.heard();
        }
        stored
    }
}

/// The whole body, unless it is too large.
async fn read(request: Request<Body>) -> Result<Vec<u8>, StatusCode> {
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if stated.is_some_and(|length: usize| length > MAX_BODY_BYTES) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut body = Vec::with_capacity(stated.unwrap_or_default());
    let mut stream = request.into_body().into_data_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|_| StatusCode::BAD_REQUEST)?;
        if body.len() + bytes.len() > MAX_BODY_BYTES {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}
