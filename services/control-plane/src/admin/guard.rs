//! Nothing of the admin API is reached without the gateway's token.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::http::{Extensions, HeaderMap, Request, Response, header::AUTHORIZATION};
use futures_util::future::BoxFuture;
use tonic::{
    Code as Grpc, Status, body::Body, codegen::Service, server::NamedService,
    transport::server::TcpConnectInfo,
};

use super::code::Code;
use crate::{gateway::Gateway, limiter::Guesser, meter};

/// A gRPC service behind the token. Every service of the admin API is wrapped in it.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    gateway: Arc<Gateway>,
    inner: S,
}

impl<S> Guarded<S> {
    /// Puts `inner` behind the token of `gateway`.
    pub(super) fn new(gateway: &Arc<Gateway>, inner: S) -> Self {
        Self {
            gateway: gateway.clone(),
            inner,
        }
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone takes the place of the one that said it was ready.
        let clone = self.inner.clone();
        let (mut inner, gateway) = (
            std::mem::replace(&mut self.inner, clone),
            self.gateway.clone(),
        );
        Box::pin(async move {
            match admit(&gateway, request.extensions(), request.headers()) {
                Ok(()) => inner.call(request).await,
                Err((status, wait)) => {
                    tokio::time::sleep(wait).await;
                    Ok(status.into_http())
                }
            }
        })
    }
}

/// Lets a call through that knows the token.
///
/// # Errors
/// The answer, and how long the caller waits for it.
fn admit(
    gateway: &Gateway,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Result<(), (Status, Duration)> {
    let at_once = |status| Err((status, Duration::ZERO));
    let from = extensions
        .get::<TcpConnectInfo>()
        .and_then(TcpConnectInfo::remote_addr);
    let from = from.map_or(IpAddr::from([0, 0, 0, 0]), |from| from.ip());
    // No page can speak gRPC: who calls from this machine is a program, and only made to wait.
    let guesser = Guesser::new(from, from.to_canonical().is_loopback());
    if let Some(left) = gateway.limiter.locked(guesser, Instant::now()) {
        let text = format!(
            "too many failed authentication attempts; try again in {} s",
            left.as_secs().max(1)
        );
        return at_once(Code::RateLimit.refuse(Grpc::ResourceExhausted, text));
    }
    if !gateway.secret().is_set() {
        return at_once(unauthenticated(
            "the admin API takes a token: set gateway.token (or OPENCLAW_GATEWAY_TOKEN) and restart the gateway",
        ));
    }
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
        return at_once(unauthenticated(
            "send the gateway's token as metadata `authorization: Bearer <token>`",
        ));
    };
    if !gateway.secret().is(token.trim()) {
        meter::refused("auth");
        let wait = gateway.limiter.failed(guesser, Instant::now());
        let wrong = "this is not the gateway's token; see gateway.token in the settings";
        return Err((unauthenticated(wrong), wait));
    }
    gateway.limiter.succeeded(guesser);
    Ok(())
}

fn unauthenticated(text: &str) -> Status {
    Code::Credential.refuse(Grpc::Unauthenticated, text)
}
