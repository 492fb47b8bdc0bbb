//! One connection to the bus, shared by a whole process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event,
    jetstream::{self, context::ContextBuilder},
};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Error, Settings, bundle::Bundler, streams};

/// A connection to the bus. Clones share it.
#[derive(Clone)]
pub struct Bus {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) context: jetstream::Context,
    pub(crate) settings: Settings,
    /// Counts connections: whoever holds a subscription's fate in hand looks at it.
    pub(crate) connections: watch::Receiver<u64>,
    pub(crate) bundler: Bundler,
    connected: Arc<AtomicBool>,
}

/// A server that is silent this long is asked; twice unanswered, the connection is given up.
const PING: Duration = Duration::from_secs(2);
/// One request to the server; repeated until the patience ends.
const ONE_TRY: Duration = Duration::from_secs(2);
/// The oldest server whose streams do what is needed (message schedules).
const OLDEST: (u64, u64) = (2, 12);

impl Bus {
    /// Connects, refuses a server that is too old, and makes the streams and buckets that are missing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no server answers within the patience; [`Error::Refused`] when the server is too
    /// old, or dropped a setting of a stream.
    pub async fn connect(settings: Settings) -> Result<Self, Error> {
        let connected = Arc::new(AtomicBool::new(false));
        let (count, connections) = watch::channel(0_u64);
        let (flag, count) = (connected.clone(), Arc::new(count));
        let mut options = ConnectOptions::new()
            .name(&settings.name)
            .ping_interval(PING)
            .connection_timeout(Duration::from_secs(5))
            .request_timeout(Some(ONE_TRY))
            .subscription_capacity(16_384)
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis((50 << attempts.min(5)).min(1000))
            })
            .event_callback(move |event| {
                let (flag, count) = (flag.clone(), count.clone());
                async move { notice(&event, &flag, &count) }
            });
        if let Some(token) = &settings.token {
            options = options.token(token.expose_secret().to_owned());
        }
        let servers = addresses(&settings.servers)?;
        let deadline = tokio::time::Instant::now() + settings.patience;
        let client = loop {
            match options.clone().connect(servers.clone()).await {
                Ok(client) => break client,
                Err(error) if tokio::time::Instant::now() >= deadline => {
                    return Err(Error::away(error));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        connected.store(true, Ordering::Relaxed);
        refuse_old(&client)?;
        let context = ContextBuilder::new()
            .timeout(ONE_TRY)
            .ack_timeout(ONE_TRY)
            .max_ack_inflight(4096)
            .build(client.clone());
        streams::prepare(&context, &settings).await?;
        let inner = Arc::new_cyclic(|inner| Inner {
            client,
            context,
            settings,
            connections,
            bundler: Bundler::begin(inner.clone()),
            connected,
        });
        Ok(Self { inner })
    }

    /// Number of partitions of `IN` and `TURN`.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.inner.settings.partitions
    }

    /// Whether the connection stands now.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.inner.connected.load(Ordering::Relaxed)
    }

    /// Writes out what is still buffered; called last in the life of a process.
    pub async fn flush(&self) {
        if let Err(error) = self.inner.client.flush().await {
            warn!(
                error = &error as &dyn std::error::Error,
                "last messages not flushed"
            );
        }
    }
}

fn notice(event: &Event, connected: &AtomicBool, count: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            connected.store(true, Ordering::Relaxed);
            count.send_modify(|count| *count += 1);
            info!("bus connected");
        }
        Event::Disconnected | Event::Closed => {
            connected.store(false, Ordering::Relaxed);
            warn!("bus disconnected");
        }
        // A denied publish shows itself here and nowhere else: the publisher just times out.
        other => {
            metrics::counter!("openclaw_bus_server_errors_total").increment(1);
            warn!(event = %other, "bus says: {other}");
        }
    }
}

fn addresses(servers: &[String]) -> Result<Vec<async_nats::ServerAddr>, Error> {
    let parsed = servers.iter().map(|server| {
        server.parse().map_err(|error| {
            Error::Refused(format!(
                "`{server}` is no address of a bus ({error}); write nats://host:4222"
            ))
        })
    });
    parsed.collect()
}

fn refuse_old(client: &Client) -> Result<(), Error> {
    let version = client.server_info().version;
    let mut numbers = version
        .split(['.', '-'])
        .map(|part| part.parse::<u64>().unwrap_or_default());
    let found = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    if found >= OLDEST {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "nats-server {version} is too old: {}.{} or newer is needed, 2.15.1 is tested",
        OLDEST.0, OLDEST.1
    )))
}
