//! Answers whether the process lives, serves, and how busy it is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::get;
use bus::Bus;
use metrics_exporter_prometheus::PrometheusHandle;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::metrics;
use crate::ready::{Readiness, Ready};
use crate::settings::{Check, Mistakes};

/// How often histograms are folded together, so that they stay small between two readings.
const UPKEEP: Duration = Duration::from_secs(5);

/// Where `/live`, `/ready` and `/metrics` are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port, as `127.0.0.1:18791`; port 0 takes a free one. Without it the gateway
    /// takes `127.0.0.1:18791` and a single service a free port; the log says which.
    pub address: Option<String>,
}

impl Config {
    /// The address to listen on, or `otherwise` where none is set.
    ///
    /// # Errors
    /// When the setting is not an address with a port.
    pub fn address_or(
        &self,
        otherwise: SocketAddr,
    ) -> Result<SocketAddr, std::net::AddrParseError> {
        self.address.as_ref().map_or(Ok(otherwise), |it| it.parse())
    }
}

impl Check for Config {
    fn check(&self, mistakes: &mut Mistakes) {
        if self
            .address_or(SocketAddr::from(([127, 0, 0, 1], 0)))
            .is_err()
        {
            mistakes.add(
                "address",
                "is not an address with a port",
                "\"127.0.0.1:18791\"",
            );
        }
    }
}

/// What must be ready before the process is.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Posted>>);

#[derive(Default)]
struct Posted {
    services: Vec<Readiness>,
    bus: Option<Bus>,
}

impl Board {
    /// Makes the latch of a service, in place of one of the same name that it had before.
    pub fn enter(&self, name: &str) -> Ready {
        let (ready, readiness) = Ready::new(name);
        let mut posted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        posted.services.retain(|service| service.name() != name);
        posted.services.push(readiness);
        ready
    }

    /// Makes readiness depend on the connection of `bus`.
    pub fn watch(&self, bus: Bus) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bus = Some(bus);
    }

    /// Names what is not ready; empty when all is.
    pub fn waiting(&self) -> Vec<String> {
        let posted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = posted.bus.as_ref().is_some_and(Bus::connected);
        let bus = (!connected).then(|| "bus".to_owned());
        let services = posted.services.iter().filter(|service| !service.is_ready());
        bus.into_iter()
            .chain(services.map(|service| service.name().to_owned()))
            .collect()
    }
}

/// A running health server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens, the port it was given included.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `/live`, `/ready` and `/metrics` at `address`; port 0 takes a free one.
///
/// # Errors
/// When the address cannot be listened on, most often because another process does.
pub async fn serve(address: SocketAddr, board: Board) -> std::io::Result<Server> {
    let numbers = metrics::begin();
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let pages = Router::new()
        .route("/live", get(|| async { Json(json!({ "live": true })) }))
        .route("/ready", get(ready))
        .with_state(board)
        .route("/metrics", get(scrape).with_state(numbers.clone()));
    let task = tokio::spawn(async move {
        let mut beat = tokio::time::interval(UPKEEP);
        let upkeep = async {
            loop {
                beat.tick().await;
                numbers.run_upkeep();
            }
        };
        tokio::select! {
            ended = axum::serve(listener, pages) => {
                tracing::error!(?ended, "health server ended");
            }
            () = upkeep => {}
        }
    });
    Ok(Server { address, task })
}

async fn ready(State(board): State<Board>) -> (StatusCode, Json<Value>) {
    let waiting = board.waiting();
    let status = match waiting.as_slice() {
        [] => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let answer = json!({ "ready": waiting.is_empty(), "waiting_for": waiting });
    (status, Json(answer))
}

async fn scrape(State(numbers): State<PrometheusHandle>) -> String {
    metrics::observe_process();
    numbers.render()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(server: &Server, path: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_lives_before_it_is_ready_and_names_what_is_not() {
        let board = Board::default();
        let latch = board.enter("router");
        let address = Config::default()
            .address_or(([127, 0, 0, 1], 0).into())
            .unwrap();
        let server = serve(address, board.clone()).await.unwrap();
        assert!(get(&server, "/live").await.starts_with("HTTP/1.1 200"));
        let answer = get(&server, "/ready").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.contains(r#""waiting_for":["bus","router"]"#),
            "{answer}"
        );
        drop(latch);
        assert_eq!(board.waiting(), ["bus"]);
    }

    #[tokio::test]
    async fn metrics_say_what_the_process_takes() {
        let server = serve(([127, 0, 0, 1], 0).into(), Board::default())
            .await
            .unwrap();
        ::metrics::histogram!("openclaw_test_seconds").record(0.003);
        let answer = get(&server, "/metrics").await;
        assert!(
            answer.contains("openclaw_test_seconds_bucket{le=\"0.005\"} 1"),
            "{answer}"
        );
        if cfg!(target_os = "linux") {
            assert!(answer.contains("process_resident_memory_bytes"), "{answer}");
        }
    }

    #[test]
    fn a_restarted_service_takes_its_own_place() {
        let board = Board::default();
        let first = board.enter("router");
        let second = board.enter("router");
        drop(first);
        assert_eq!(board.waiting(), ["bus", "router"]);
        drop(second);
        assert_eq!(board.waiting(), ["bus"]);
    }
}
