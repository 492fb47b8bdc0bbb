//! The gateway's WebSocket, page and admin API, by bytes on the wire.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use bus::Bus;
use control_plane::Config;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tests::{eventually::DEADLINE, servers::Nats};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue, Response},
    },
};
use tokio_util::sync::CancellationToken;

mod admin;
mod agent;
mod agents;
mod attacks;
mod canvas;
mod channels;
mod chat;
mod claims;
mod cron;
mod crowd;
mod device;
mod devices;
mod events;
mod handshake;
mod history;
mod house;
mod identity;
mod methods;
mod nodes;
mod offers;
mod openai;
mod ops;
mod page;
mod pairing;
mod replicas;
mod resume;
mod revoked;
mod runs;
mod secret;
mod services;
mod sessions;
mod settings;
mod tls;
mod wake;

/// The shared secret of every gateway here.
const TOKEN: &str = "token-of-the-test-gateway-0123456789";

/// A gateway alone on a bus of its own; tests play the other services.
struct Gateway {
    at: SocketAddr,
    admin: SocketAddr,
    bus: Bus,
    stop: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
    nats: Arc<Nats>,
}

impl Gateway {
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(Arc::new(Nats::start()), change).await
    }

    /// Another replica on the same bus.
    async fn replica(&self) -> Self {
        self.replica_with(|_| ()).await
    }

    /// Another replica on the same bus, with other settings.
    async fn replica_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(self.nats.clone(), change).await
    }

    async fn start_on(nats: Arc<Nats>, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(nats, change, control_plane::Host::default()).await
    }

    async fn start_in(
        nats: Arc<Nats>,
        change: impl FnOnce(&mut Config),
        host: control_plane::Host,
    ) -> Self {
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let stop = CancellationToken::new();
        let mut config = Config {
            token: TOKEN.into(),
            ..Config::default()
        };
        change(&mut config);
        let web = TcpListener::bind((config.bind, 0)).await.unwrap();
        let admin = TcpListener::bind((config.admin_listen.ip(), 0))
            .await
            .unwrap();
        let (at, admin_at) = (web.local_addr().unwrap(), admin.local_addr().unwrap());
        let (ready, readiness) = chassis::Ready::new("control-plane");
        let ctx = chassis::Context {
            bus: bus.clone(),
            stop: stop.clone(),
            ready,
        };
        let serving = tokio::spawn(control_plane::serve_in(ctx, config, host, web, admin));
        // Until then it does not hear what other replicas tell.
        tests::eventually::eventually("the gateway serves", async || {
            (readiness.is_ready() || serving.is_finished()).then_some(())
        })
        .await;
        Self {
            at,
            admin: admin_at,
            bus,
            stop,
            serving,
            nats,
        }
    }

    /// A client that was let in with all scopes, as the command line of `protocol` connects.
    async fn client(&self, protocol: u8) -> Client {
        let mut client = Client::open(self.at, "/", &[]).await;
        client.shake(connect(protocol)).await;
        client
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

/// What a server sends: a frame or its close.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Frame(Value),
    /// Close code and reason; 1005 where there was none, 1006 where the socket just ended.
    Close(u16, String),
}

/// A WebSocket client that knows nothing of the protocol.
struct Client {
    socket: WebSocketStream<TcpStream>,
    response: Response<Option<Vec<u8>>>,
    /// Events that came while something else was waited for.
    events: VecDeque<Value>,
    calls: u32,
}

impl Client {
    async fn open(at: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_open(at, path, headers).await.unwrap()
    }

    async fn try_open(at: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{at}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(at).await.unwrap();
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self {
            socket,
            response,
            events: VecDeque::new(),
            calls: 0,
        })
    }

    async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next frame, or the end.
    async fn next(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(DEADLINE, self.socket.next());
            match next.await.expect("the server says something") {
                Some(Ok(Message::Text(text))) => {
                    return Heard::Frame(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Close(close))) => {
                    let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                    let (code, reason) = close.unwrap_or((1005, String::new()));
                    return Heard::Close(code, reason);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Close(1006, String::new()),
            }
        }
    }

    /// The next frame that is no event; events are kept.
    async fn next_answer(&mut self) -> Heard {
        loop {
            match self.next().await {
                Heard::Frame(frame) if frame["type"] == "event" => self.events.push_back(frame),
                heard => return heard,
            }
        }
    }

    /// The next event called `name`; others before it are forgotten.
    async fn event(&mut self, name: &str) -> Value {
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => match self.next().await {
                    Heard::Frame(frame) => frame,
                    close => panic!("waited for {name}, but: {close:?}"),
                },
            };
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Sends `connect` and returns its answer.
    async fn connect(&mut self, params: Value) -> Heard {
        self.send(&json!({"type": "req", "id": "c", "method": "connect", "params": params}))
            .await;
        self.next_answer().await
    }

    /// Connects and must be let in; returns `hello-ok`.
    async fn shake(&mut self, params: Value) -> Value {
        let heard = self.connect(params).await;
        let Heard::Frame(frame) = heard else {
            panic!("{heard:?}")
        };
        assert_eq!(frame["ok"], true, "{frame}");
        // Events of the time before are the challenge alone.
        self.events.clear();
        frame["payload"].clone()
    }

    /// Calls a method and returns the whole response.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        self.send(&json!({"type": "req", "id": id, "method": method, "params": params}))
            .await;
        let Heard::Frame(frame) = self.next_answer().await else {
            panic!("closed during {method}")
        };
        assert_eq!(frame["id"], id.as_str());
        frame
    }

    /// Calls a method that must succeed.
    async fn done(&mut self, method: &str, params: Value) -> Value {
        let frame = self.call(method, params).await;
        assert_eq!(frame["ok"], true, "{method}: {frame}");
        frame["payload"].clone()
    }

    /// Calls a method that must fail and returns why.
    async fn refused(&mut self, method: &str, params: Value) -> Value {
        let frame = self.call(method, params).await;
        assert_eq!(frame["ok"], false, "{method}: {frame}");
        frame["error"].clone()
    }
}

/// Parameters of `connect` as the command line of `protocol` sends them.
fn connect(protocol: u8) -> Value {
    json!({
        "minProtocol": protocol, "maxProtocol": protocol,
        "client": {"id": "cli", "version": "2026.9.6", "platform": "linux", "mode": "cli", "instanceId": "i"},
        "caps": [], "auth": {"token": TOKEN}, "role": "operator",
        "scopes": ["operator.admin", "operator.read", "operator.write"],
    })
}

/// The same with something changed.
fn connect_with(protocol: u8, change: impl FnOnce(&mut Value)) -> Value {
    let mut params = connect(protocol);
    change(&mut params);
    params
}
