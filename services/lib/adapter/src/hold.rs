//! Whether an operator has stopped an account: a record that holds for every process, now and after a restart.

use std::time::Duration;

use bus::{Bucket, Bus, Store};
use futures_util::StreamExt;
use proto::v1;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Account;

/// Pause before a bus that is away is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The record by which an operator stops one account.
pub(crate) struct Hold {
    store: Store,
    key: String,
}

impl Hold {
    pub(crate) fn new(bus: &Bus, account: &Account) -> Self {
        Self {
            store: bus.bucket(Bucket::Config),
            key: format!("held.{}", account.key()),
        }
    }

    /// Waits while the account is stopped, or until `stop`.
    pub(crate) async fn ended(&self, stop: &CancellationToken) {
        let ended = async {
            loop {
                match self.store.get::<v1::Hold>(&self.key).await {
                    Ok(None) => return,
                    Ok(Some(_)) => {
                        tracing::info!("`{}` waits: an operator has stopped it", self.key);
                        self.becomes(false).await;
                    }
                    Err(error) => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "not known whether `{}` stands",
                            self.key
                        );
                        sleep(PAUSE).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(ended).await;
    }

    /// Waits until the account is stopped: true; or until `part` is over: false.
    pub(crate) async fn begun(&self, part: &CancellationToken) -> bool {
        part.run_until_cancelled(self.becomes(true)).await.is_some()
    }

    /// Returns once the record is there, or is not.
    async fn becomes(&self, held: bool) {
        loop {
            if let Ok(mut changes) = self.store.watch::<v1::Hold>().await {
                while let Some((key, record)) = changes.next().await {
                    if key == self.key && record.is_some() == held {
                        return;
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }
}
