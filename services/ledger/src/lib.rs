//! What happened, kept and searchable: the EVENT stream written down in SQLite, and transcripts answered from it.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use bus::Bus;
use chassis::settings::{Check, Mistakes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::timeout};

pub use error::Error;

use crate::{
    clerk::Clerk,
    follow::{EVENT, Follower},
    lookout::Lookout,
    started::Begun,
    undertaker::Undertaker,
};

mod clerk;
mod error;
mod follow;
mod lookout;
mod mark;
mod notice;
mod started;
pub mod store;
mod transcript;
mod undertaker;
mod walk;

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
    /// A message without an end this long after its time is given up as lost if no stream holds it any more, and its
    /// writer told. Seconds, at least 1.
    #[schemars(range(min = 1))]
    pub overdue_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "ledger.sqlite".into(),
            batch: 256,
            retention_days: 0,
            overdue_s: 15 * 60,
        }
    }
}

impl Check for Config {
    fn check(&self, mistakes: &mut Mistakes) {
        if self.path.as_os_str().is_empty() {
            mistakes.add("path", "names no file", "a path, as \"ledger.sqlite\"");
        }
        if self.overdue_s == 0 {
            mistakes.add("overdue_s", "is 0: everything would be late", "900");
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

    fn overdue_ms(&self) -> i64 {
        i64::from(self.overdue_s.max(1)) * 1000
    }

    /// For how long events are kept; `None` for ever.
    fn kept_ms(&self) -> Option<i64> {
        (self.retention_days > 0).then(|| i64::from(self.retention_days) * DAY_MS)
    }
}

/// Writes down what happens, answers what happened, and sees to it that no message ends unseen, until told to stop.
///
/// # Errors
/// When the file cannot be used, or the bus needs a person; the text says what to do.
pub async fn run(ctx: chassis::Context, config: Config) -> anyhow::Result<()> {
    let chassis::Context { bus, stop, ready } = ctx;
    let (writer, reader) = store::open(&config.path)
        .await
        .context("ledger does not start")?;
    let keepers = (
        store::keeper(&config.path).await,
        store::keeper(&config.path).await,
    );
    let (written, begun) = (watch::Sender::new(0), Begun::default());
    let applied = || Applied(written.subscribe());
    let clerk = Clerk {
        bus: bus.clone(),
        reader,
        applied: applied(),
        begun: begun.clone(),
    };
    let follower = Follower {
        bus: &bus,
        config: &config,
        stop: &stop,
        applied: &written,
        writer,
    };
    let undertaker = Undertaker {
        bus: &bus,
        stop: &stop,
        applied: applied(),
        keeper: keepers.0.context("ledger does not start")?,
    };
    let lookout = Lookout {
        bus: &bus,
        config: &config,
        stop: &stop,
        applied: applied(),
        begun: begun.clone(),
        keeper: keepers.1.context("ledger does not start")?,
    };
    drop(ready);
    tokio::try_join!(
        async { follower.run().await.context("ledger follows what happens") },
        async { clerk.answer(&stop).await.context("ledger answers") },
        async {
            undertaker
                .run()
                .await
                .context("ledger sees to dead letters")
        },
        async {
            lookout
                .run()
                .await
                .context("ledger looks for late messages")
        },
        async {
            begun.hear(&bus, &stop).await;
            Ok(())
        },
    )?;
    clerk.close().await;
    Ok(())
}

/// How far the stream has been written down.
#[derive(Clone)]
struct Applied(watch::Receiver<u64>);

impl Applied {
    /// Waits until what the stream holds now is written down, so that who publishes and then asks finds it.
    ///
    /// Best effort: a server that is away or a long backlog must not keep an answer back; false then.
    async fn catch_up(&self, bus: &Bus) -> bool {
        let caught_up = async {
            let Ok(state) = bus.stream_state(EVENT).await else {
                return false;
            };
            let mut written = self.0.clone();
            // An error says that the ledger stops, and what is there is the answer.
            written
                .wait_for(|written| *written >= state.last)
                .await
                .is_ok()
        };
        timeout(CATCH_UP, caught_up).await.unwrap_or(false)
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
