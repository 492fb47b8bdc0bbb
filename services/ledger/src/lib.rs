//! What happened, kept and searchable: the EVENT stream written down in SQLite, and transcripts answered from it.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use bus::Bus;
use chassis::settings::{Check, Mistakes};
use proto::{
    subject,
    v1::{HistoryRequest, SessionsRequest},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use error::Error;

use follow::{EVENT, Follower};
use store::Reader;

mod error;
mod follow;
pub mod store;
mod transcript;

/// How long an answer waits for what happened before the question to be written down.
const CATCH_UP: Duration = Duration::from_millis(200);
/// Most events in one transaction: SQLite allows 32766 variables in a statement, and an event takes 14.
const MAX_BATCH: usize = 2000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Settings of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The SQLite file, made at the first start. A relative path begins in the gateway's data folder.
    pub path: PathBuf,
    /// Most events written in one transaction, 1 to 2000.
    #[schemars(range(min = 1, max = 2000))]
    pub batch: usize,
    /// Days after which transcripts and events are forgotten; 0 keeps them for ever.
    pub retention_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "ledger.sqlite".into(),
            batch: 256,
            retention_days: 0,
        }
    }
}

impl Check for Config {
    fn check(&self, mistakes: &mut Mistakes) {
        if self.path.as_os_str().is_empty() {
            mistakes.add("path", "names no file", "a path, as \"ledger.sqlite\"");
        }
        if !(1..=MAX_BATCH).contains(&self.batch) {
            mistakes.add("batch", "is not between 1 and 2000", "256");
        }
    }
}

impl Config {
    fn batch(&self) -> usize {
        self.batch.clamp(1, MAX_BATCH)
    }

    /// For how long events are kept; `None` for ever.
    fn kept_ms(&self) -> Option<i64> {
        (self.retention_days > 0).then(|| i64::from(self.retention_days) * DAY_MS)
    }
}

/// Writes down what happens, and answers what happened, until told to stop.
///
/// # Errors
/// When the file cannot be used, or the bus needs a person; the text says what to do.
pub async fn run(ctx: chassis::Context, config: Config) -> anyhow::Result<()> {
    let chassis::Context { bus, stop, ready } = ctx;
    let (writer, reader) = store::open(&config.path)
        .await
        .context("ledger does not start")?;
    let applied = watch::Sender::new(0);
    let clerk = Clerk {
        bus: bus.clone(),
        reader,
        applied: applied.subscribe(),
    };
    let follower = Follower {
        bus: &bus,
        config: &config,
        stop: &stop,
        applied: &applied,
        writer,
    };
    drop(ready);
    tokio::try_join!(
        async { follower.run().await.context("ledger follows what happens") },
        async { clerk.answer(&stop).await.context("ledger answers") },
    )?;
    clerk.reader.close().await;
    Ok(())
}

/// What the asker is told; the log has the rest.
fn why(error: Error) -> String {
    warn!(
        error = &error as &dyn std::error::Error,
        "question not answered"
    );
    error.to_string()
}

/// Answers questions.
#[derive(Clone)]
struct Clerk {
    bus: Bus,
    reader: Reader,
    applied: watch::Receiver<u64>,
}

impl Clerk {
    async fn answer(&self, stop: &CancellationToken) -> Result<(), bus::Error> {
        let history = self
            .bus
            .answer(subject::HISTORY, stop, |asked: HistoryRequest| {
                let clerk = self.clone();
                async move {
                    clerk.catch_up().await;
                    clerk.reader.history(&asked).await.map_err(why)
                }
            });
        let sessions = self
            .bus
            .answer(subject::SESSIONS, stop, |asked: SessionsRequest| {
                let clerk = self.clone();
                async move {
                    clerk.catch_up().await;
                    clerk.reader.sessions(&asked).await.map_err(why)
                }
            });
        tokio::try_join!(history, sessions).map(drop)
    }

    /// Waits until what the stream holds now is written down, so that who publishes and then asks finds it.
    ///
    /// Best effort: a server that is away or a long backlog must not keep an answer back.
    async fn catch_up(&self) {
        let caught_up = async {
            let Ok(state) = self.bus.stream_state(EVENT).await else {
                return;
            };
            // An error says that the ledger stops, and what is there is the answer.
            let _ = self
                .applied
                .clone()
                .wait_for(|applied| *applied >= state.last)
                .await;
        };
        let _ = timeout(CATCH_UP, caught_up).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forgotten_unless_asked() {
        assert_eq!(Config::default().kept_ms(), None);
        assert_eq!(
            Config {
                retention_days: 1,
                ..Config::default()
            }
            .kept_ms(),
            Some(86_400_000)
        );
    }
}
