//! How to reach the bus.

use std::time::Duration;

use secrecy::SecretString;

/// How to reach the bus, and what is agreed on it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Servers, each `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// Shown by the server's monitoring.
    pub name: String,
    /// Token of a server with token authorization.
    pub token: Option<SecretString>,
    /// Number of partitions of `IN` and `TURN`. The same in every process; changed only while the streams are empty.
    pub partitions: u16,
    /// Copies of each stream: 1 on one server, 3 in a cluster.
    pub replicas: usize,
    /// No other process uses this bus: ownership that an earlier life left behind is taken over at once.
    pub exclusive: bool,
    /// A worker that was not heard of for this long has lost its shards.
    pub lease: Duration,
    /// How long a call tries before it says [`crate::Error::Unavailable`].
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".into()],
            name: "openclaw".into(),
            token: None,
            partitions: 16,
            replicas: 1,
            exclusive: false,
            lease: Duration::from_millis(1500),
            patience: Duration::from_secs(10),
        }
    }
}
