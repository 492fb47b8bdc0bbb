//! The life of one client after the handshake: requests in, answers and events out, until either side ends it.

use std::{sync::Arc, time::Duration};

use chassis::clock::now_ms;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use proto::ws::{Error, Malformed, Request};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::unconstrained,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    client::Client,
    devices::expel::expel,
    gateway::Gateway,
    handshake::{Admitted, End},
    hello::{MAX_PAYLOAD_BYTES, hello},
    meter,
    methods::{self, Call},
    refusal::Refusal,
    resume::{self, Resume},
    secret::recheck,
    socket::{Socket, Turn},
};

/// How often a ping is sent, and how long its pong may take.
const PING: Duration = Duration::from_secs(25);
/// Requests of one client that are worked on at once.
const RUNNING: usize = 256;
/// A client that has this much to read is not heard until it has read some of it.
const UNREAD_BYTES: usize = 1024 * 1024;
/// Frames are put into the socket until it holds this much.
const BATCH_BYTES: usize = 64 * 1024;
/// How long requests may take to end, and answers to be written, when the gateway stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long the answers to a client that is told to leave may take: one of them may be what it leaves for.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// Calls that its role does not allow, after which a client is closed.
const STRIKES: u32 = 10;

/// A request's id and its answer; nothing for what was not requested.
type Done = Option<(String, Result<Arc<RawValue>, Error>)>;

/// Serves a client that was let in, until it leaves, is too slow, or the gateway stops.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: Arc<Gateway>,
    mut socket: Socket<S>,
    admitted: Admitted,
    host: String,
) {
    let Admitted {
        request_id,
        grant,
        program,
        claims,
        credentials,
        secret,
        resume,
    } = admitted;
    socket.allow(MAX_PAYLOAD_BYTES);
    let mut client = Client::new(grant, program, gateway.config.max_buffered_bytes, now_ms());
    client.claims = claims;
    client.token = credentials.hash.clone();
    client.host = host;
    client.resume = resume.as_deref().map(Resume::from);
    let client = Arc::new(client);
    if client.resume.is_some() {
        client.outbox.hold();
    }
    gateway.clients.join(&client);
    expel(&gateway, &client);
    recheck(&gateway, &client, &secret);
    if let Some(claims) = &client.claims
        && let Err(refusal) = gateway.node_arrives(&client, claims).await
    {
        gateway.clients.leave(&client);
        let error = refusal.error(client.grant.protocol);
        socket.queue(proto::ws::Response::new(&request_id, Err(&error)).text());
        return socket.close(1013, &error.message).await;
    }
    let welcome = hello(&gateway, &client, &credentials);
    client
        .outbox
        .first(proto::ws::Response::new(&request_id, Ok(&welcome)).text());
    tracing::debug!(conn.id = %client.id, client.id = %client.program.id, "client `{}` connected", client.id);
    let mut connection = Connection {
        gateway,
        client,
        running: FuturesUnordered::new(),
        strikes: 0,
    };
    connection.resume();
    let end = connection.live(&mut socket).await;
    connection.gateway.clients.leave(&connection.client);
    tracing::debug!(conn.id = %connection.client.id, ?end, "client `{}` left", connection.client.id);
    let leave = async {
        if connection.client.claims.is_some() {
            connection.gateway.node_leaves(&connection.client).await;
        }
    };
    // Nobody waits for the bus to be told goodbye.
    let close = async {
        if let End::Close(code, reason) = end {
            socket.close(code, &reason).await;
        }
    };
    tokio::join!(leave, close);
}

struct Connection {
    gateway: Arc<Gateway>,
    client: Arc<Client>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    strikes: u32,
}

impl Connection {
    async fn live<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>) -> End {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = true;
        loop {
            self.refill(socket);
            if self.client.outbox.is_overflown() {
                meter::refused("slow");
                return End::Close(1008, "slow consumer".into());
            }
            let listen = self.client.outbox.bytes() < UNREAD_BYTES;
            tokio::select! {
                // What is done is answered before more is heard, so that few wait; a ping is never put off.
                biased;
                () = self.gateway.closing.cancelled() => {
                    // A client that takes nothing is closed all the same.
                    let _ = tokio::time::timeout(GRACE, self.finish(socket)).await;
                    return End::Close(1012, "service restart".into());
                }
                (code, reason) = self.client.told_to_leave() => {
                    let _ = tokio::time::timeout(LAST_WORDS, self.finish(socket)).await;
                    return End::Close(code, reason.into());
                }
                Some(done) = self.running.next() => self.answer(done),
                _ = ping.tick() => {
                    // Nothing was heard since the last ping: whoever is there, it is no WebSocket any more.
                    if !heard {
                        return End::Gone;
                    }
                    heard = false;
                    socket.ping();
                }
                turn = socket.turn(listen) => match turn {
                    Turn::Heard(text) => {
                        heard = true;
                        self.receive(&text);
                        if self.strikes > STRIKES {
                            let _ = tokio::time::timeout(GRACE, self.finish(socket)).await;
                            return End::Close(1008, "repeated unauthorized calls".into());
                        }
                    }
                    Turn::Alive => heard = true,
                    Turn::Flushed => {}
                    Turn::Broken(code) => return End::Close(code, String::new()),
                    Turn::Gone => return End::Gone,
                },
                () = self.client.outbox.filled() => {}
            }
        }
    }

    /// Puts what waits into the socket, once what it holds is written.
    fn refill<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: &mut Socket<S>) {
        if !socket.is_flushed() {
            return;
        }
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some(text) = self.client.outbox.next() else {
                return;
            };
            bytes += text.len();
            socket.queue(text);
        }
    }

    /// Ends what was asked for, and writes all that waits.
    async fn finish<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>) {
        while let Some(done) = self.running.next().await {
            self.answer(done);
        }
        loop {
            self.refill(socket);
            if socket.is_flushed() || matches!(socket.turn(false).await, Turn::Gone) {
                return;
            }
        }
    }

    fn answer(&self, done: Done) {
        if let Some((id, outcome)) = done {
            let outcome = outcome.as_ref().map(|payload| &**payload);
            self.client.answer(&id, outcome);
        }
    }

    /// Tells what the client missed, if it says where it was.
    fn resume(&mut self) {
        let Some(resume) = self.client.resume else {
            return;
        };
        let (gateway, client) = (self.gateway.clone(), self.client.clone());
        self.running.push(Box::pin(async move {
            resume::tell(&gateway, &client, resume).await;
            None
        }));
    }

    fn receive(&mut self, text: &str) {
        let request = match Request::read(text) {
            Ok(request) => request,
            // As the reference does: a frame that is no JSON has no id that could be answered.
            Err(Malformed::NotJson) => return,
            Err(malformed) => {
                let error =
                    Refusal::Invalid(malformed.to_string()).error(self.client.grant.protocol);
                let Malformed::NotRequest { id: Some(id), .. } = malformed else {
                    return self.client.answer("invalid", Err(&error));
                };
                return self.client.answer(&id, Err(&error));
            }
        };
        let protocol = self.client.grant.protocol;
        if self.running.len() >= RUNNING {
            let busy = Refusal::Busy("The server is busy; try again in a moment".into());
            return self.client.answer(&request.id, Err(&busy.error(protocol)));
        }
        let served = match methods::admit(&request.method, &self.client.grant) {
            Ok(served) => served,
            Err(refusal) => {
                self.strikes += u32::from(matches!(refusal, Refusal::WrongRole(_)));
                return self
                    .client
                    .answer(&request.id, Err(&refusal.error(protocol)));
            }
        };
        let call = Call::new(&self.gateway, &self.client, served, &request);
        let id = request.id.into_owned();
        // Begun in the order they came, also by a runtime that finds this task has had its share.
        self.running.push(Box::pin(unconstrained(async move {
            let outcome = methods::dispatch(call).await;
            meter::called(served.name(), outcome.is_ok());
            Some((id, outcome.map_err(|refusal| refusal.error(protocol))))
        })));
    }
}
