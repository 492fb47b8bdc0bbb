//! The private nats-server and redis-server of a gateway that is one process.

use anyhow::Context as _;
use chassis::Secret;

use crate::home::Home;
use crate::servers::child::Server;

pub(crate) mod binary;
pub(crate) mod child;
mod nats;
mod redis;
mod stale;

/// The servers that this gateway started; those that the settings name are not among them.
pub(crate) struct Servers {
    nats: Option<Server>,
    redis: Option<Server>,
    /// How the rest of the process reaches them.
    pub(crate) access: Access,
}

/// How to reach the servers that were started; empty for those that were not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// `nats://127.0.0.1:port`.
    pub(crate) nats_url: String,
    /// The token that it wants.
    pub(crate) nats_token: Secret,
    /// Holds its password.
    pub(crate) redis_url: Secret,
}

/// Which servers the settings leave to us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) nats: bool,
    pub(crate) redis: bool,
}

impl Servers {
    /// Starts what is wanted and waits until it answers. Must be called, and its futures polled,
    /// on a thread that lives as long as the process: children die with the thread that made them.
    ///
    /// # Errors
    /// When a program is missing or does not come up; the text says what to do.
    pub(crate) async fn start(home: &Home, wanted: Wanted) -> anyhow::Result<Self> {
        let nats = async {
            match wanted.nats {
                true => nats::start(home).await.map(Some).context("nats-server"),
                false => Ok(None),
            }
        };
        let redis = async {
            match wanted.redis {
                true => redis::start(home).await.map(Some).context("redis-server"),
                false => Ok(None),
            }
        };
        let (nats, redis) = tokio::try_join!(nats, redis)?;
        let mut access = Access::default();
        let nats = nats.map(|(server, at)| {
            access.nats_url = at.nats_url;
            access.nats_token = at.nats_token;
            server
        });
        let redis = redis.map(|(server, at)| {
            access.redis_url = at.redis_url;
            server
        });
        Ok(Self {
            nats,
            redis,
            access,
        })
    }

    /// Starts again what dies, for ever.
    pub(crate) async fn keep(&mut self) {
        let nats = keep(self.nats.as_mut());
        let redis = keep(self.redis.as_mut());
        tokio::join!(nats, redis);
    }

    /// Stops them: redis first, for nats holds what others wait for.
    pub(crate) async fn stop(self) {
        for server in [self.redis, self.nats].into_iter().flatten() {
            server.stop().await;
        }
    }
}

async fn keep(server: Option<&mut Server>) {
    match server {
        Some(server) => server.keep().await,
        None => std::future::pending().await,
    }
}
